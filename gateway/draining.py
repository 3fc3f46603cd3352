"""How a worker of the web server stops: it says so, then closes its door, then ends what it has begun.

A worker obeys its main process alone. A service manager or a terminal often signals the whole group: a worker
that listened to that would close its door before any proxy knows, and would be cut off by the second signal,
that of its main process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from gateway import door

#: Asks a worker to drain. What stops it is SIGTERM of its main process, as granian has it.
DRAIN = signal.SIGUSR1
IS_POSSIBLE = hasattr(signal, "sigwaitinfo")  # not on macOS: there granian stops as it does by itself
_ORDERS = frozenset({DRAIN, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.02

Application = Callable[..., Iterable[bytes]]


def hold_drains() -> None:
    """Let no order to drain end a process that does not wait for one yet; children inherit that."""
    if IS_POSSIBLE:
        signal.pthread_sigmask(signal.SIG_BLOCK, {DRAIN})


def load(target: str) -> Application:
    """Return the WSGI application of a worker, which waits for orders from now on; granian calls it."""
    if IS_POSSIBLE:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)  # before there are threads, which inherit it
    parent = os.getppid()
    _end_with(parent)
    from gateway.wsgi import application  # first: it makes Django's applications ready

    # isort: split
    from files_app.services.operations.health import stopping

    if IS_POSSIBLE:
        follower = _Follower(parent, begin=stopping.set)
        threading.Thread(target=follower.run, name="orders", daemon=True).start()
    return closing(application, stopping)


def closing(application: Application, stopping: threading.Event) -> Application:
    """Return the application, whose answers end their connections once `stopping` is set."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if stopping.is_set():
                others = [header for header in headers if header[0].lower() != "connection"]
                headers = [*others, ("Connection", "close")]
            return start_response(status, headers, exc_info)

        return application(environ, start)

    return answer


class _Follower:
    """Carries out what the main process orders, and nothing that anybody else says."""

    def __init__(self, parent: int, *, begin: Callable[[], None]) -> None:
        self._parent = parent
        self._begin = begin
        self._inherited = signal.getsignal(signal.SIGTERM)

    def run(self) -> None:
        while True:
            order = signal.sigwaitinfo(_ORDERS)
            if order.si_pid != self._parent:
                continue
            self._begin()
            if order.si_signo != DRAIN:
                door.close()
                self._stop()

    def _stop(self) -> None:
        """Do what granian does at a SIGTERM, once it has come to say what that is."""
        while (handler := signal.getsignal(signal.SIGTERM)) is self._inherited:
            time.sleep(_POLL_SECONDS)
        if callable(handler):
            handler(signal.SIGTERM, None)


def _end_with(parent: int) -> None:
    """Ask Linux for the main process's SIGTERM when that is killed; elsewhere such workers stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit("the main process has ended")
