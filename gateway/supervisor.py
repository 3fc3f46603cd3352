"""Runs the web server, the Celery worker and beat as children, and stops them together."""

import contextlib
import ctypes
import http.client
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from django.conf import settings

POLL_SECONDS = 0.2
#: The web server itself ends transfers that outlast the grace period; it needs a moment for that.
MARGIN_SECONDS = 5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
OPEN_FILES = 65_536


@dataclass(frozen=True)
class Program:
    """A child process: its name in messages, and its command line."""

    name: str
    command: list[str]


def web() -> Program:
    """Return granian with a thread for each of its connections; the gateway writes its own access log."""
    return Program(
        "web server",
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--host", settings.BIND, "--port", str(settings.PORT)),
            *("--workers", str(settings.WEB_WORKERS), "--respawn-failed-workers"),
            *("--blocking-threads", str(settings.CONNECTIONS_PER_WORKER)),
            *("--backpressure", str(settings.CONNECTIONS_PER_WORKER)),
            *("--workers-kill-timeout", str(settings.SHUTDOWN_GRACE_SECONDS)),
            *("--log-level", "error", "--no-access-log"),
            "gateway.wsgi:application",
        ],
    )


def worker() -> Program:
    return Program(
        "Celery worker",
        [
            # Celery warns root because of pickle, which CELERY_ACCEPT_CONTENT leaves out.
            *(sys.executable, "-W", "ignore:You're running the worker with superuser privileges"),
            *("-m", "celery", "-A", "gateway", "--quiet", "worker"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
    )


def beat() -> Program:
    # Without a pid file: one that a killed beat left behind would keep the next one from starting.
    return Program(
        "Celery beat", [sys.executable, "-m", "celery", "-A", "gateway", "--quiet", "beat", "--pidfile="]
    )


PROGRAMS: dict[str, Callable[[], Program]] = {"web": web, "worker": worker, "beat": beat}


class Supervisor:
    """Starts programs, calls `on_ready` when `/readyz` first answers 200, and ends when one of them ends."""

    def __init__(
        self, programs: Sequence[Program], *, on_ready: Callable[[], None], say: Callable[[str], object]
    ) -> None:
        self._programs = programs
        self._on_ready = on_ready
        self._say = say
        self._children: list[tuple[Program, subprocess.Popen[bytes]]] = []
        self._stopping = threading.Event()
        self._is_ready = False

    def run(self) -> str:
        """Block until a signal or the end of a child; return what went wrong, empty after a signal."""
        previous = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        raise_file_limit()
        try:
            for program in self._programs:
                self._children.append((program, start(program)))
            return self._watch()
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():
            self._kill()
            return
        self._stopping.set()
        grace = settings.SHUTDOWN_GRACE_SECONDS
        self._say(f"Stopping: running transfers get {grace} s. Ctrl-C again stops at once.")

    def _watch(self) -> str:
        while not self._stopping.wait(POLL_SECONDS):
            for program, child in self._children:
                if child.poll() is not None:
                    return (
                        f"the {program.name} ended with exit code {child.returncode}: its last lines say why"
                    )
            if not self._is_ready and is_ready():
                self._is_ready = True
                self._on_ready()
        return ""

    def _stop(self) -> None:
        self._stopping.set()
        for _, child in self._children:
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + settings.SHUTDOWN_GRACE_SECONDS + MARGIN_SECONDS
        while time.monotonic() < deadline and any(child.poll() is None for _, child in self._children):
            time.sleep(POLL_SECONDS / 4)
        self._kill()
        for _, child in self._children:
            child.wait()
        self._say("Stopped.")

    def _kill(self) -> None:
        """Kill what is left of each child's group: a killed server does not take its workers with it."""
        for _, child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def raise_file_limit() -> None:
    """Let the children have a file for each connection: the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def start(program: Program) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own: Ctrl-C in the terminal reaches the supervisor alone."""
    return subprocess.Popen(  # noqa: S603 - our own command lines
        program.command, cwd=settings.BASE_DIR, start_new_session=True, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    """Ask Linux to stop this process when the supervisor is killed; elsewhere such children stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def become(program: Program) -> NoReturn:
    """Replace this process by the program, for a deployment whose own supervisor runs each part."""
    raise_file_limit()
    os.chdir(settings.BASE_DIR)
    os.execv(program.command[0], program.command)  # noqa: S606 - our own command lines


def base_url() -> str:
    """Return where this machine reaches the web server."""
    host = _loopback()
    return f"http://[{host}]:{settings.PORT}" if ":" in host else f"http://{host}:{settings.PORT}"


def is_ready() -> bool:
    connection = http.client.HTTPConnection(_loopback(), settings.PORT, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _loopback() -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.BIND, settings.BIND)  # noqa: S104 - read only
