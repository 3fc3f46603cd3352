"""`python -m gateway.forking FD`: the supervisor, whose parts are forked of it and share what it has loaded.

Where Python does not fork by default, `gateway.supervisor` starts each part as a program of its own instead.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

from gateway import preloading, supervisor
from gateway.supervisor import STOP_SIGNALS, Program

_PR_SET_NAME: Final = 15
_POLL_SECONDS: Final = 0.02
#: What parts import when they begin. What one imports after its fork it writes among what all share.
_PARTS: Final = (
    *("gateway.web_server", "gateway.celery_worker", "gateway.worker.steps"),
    *("celery.apps.worker", "celery.concurrency.solo", "celery.worker.consumer", "celery.app.trace"),
    "files_app.services.webhooks.delivery",
)


class Forked:
    """A child that goes on with what this process has loaded, as a `subprocess.Popen` to its watcher."""

    def __init__(self, work: Callable[[], int]) -> None:
        self.returncode: int | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # the child must not handle one as its parent
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _work_and_exit(work)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _work_and_exit(work: Callable[[], int]) -> NoReturn:
    """End as an interpreter does, and never return into what the parent was doing."""
    code = 1
    try:
        os.setsid()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


class Forks:
    """Starts parts. `shared`: the descriptors of what has been imported, which no part closes."""

    def __init__(self, shared: set[int]) -> None:
        self._shared = shared

    def __call__(self, program: Program, environment: dict[str, str], writer: int) -> Forked:
        return Forked(lambda: self._become(program, environment, writer))

    def _become(self, program: Program, environment: dict[str, str], writer: int) -> int:
        # Among them is the end of its own pipe that tells of the supervisor's death by being closed.
        for descriptor in _open_files() - self._shared - {writer}:
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(environment)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_NAME, program.title.encode())  # what ps and top show
        _python, _option, module, *arguments = program.command
        sys.argv = [module, *arguments]
        return int(import_module(module).main() or 0)


def _open_files() -> set[int]:
    """Return the descriptors that are open, but for standard input, output and error."""
    found = set()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the listing's own
            os.fstat(int(name))
            found.add(int(name))
    return found - {0, 1, 2}


def main() -> None:
    inherited = _open_files()
    preloading.load(*_PARTS)
    supervisor.main(Forks(_open_files() - inherited))


if __name__ == "__main__":
    main()
