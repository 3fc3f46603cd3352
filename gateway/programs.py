"""The parts of a gateway, their command lines, and how a process becomes one of them or their supervisor."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from django.conf import settings

from gateway import preloading
from gateway.supervisor import STOP_SIGNALS, Plan, Program

OPEN_FILES = 65_536
#: The web server itself ends transfers that outlast the grace period; it needs a moment for that.
MARGIN_SECONDS = 5


def web() -> Program:
    """Return granian with a thread for each of its connections; the gateway writes its own access log."""
    return Program(
        "web",
        "web server",
        [
            *(sys.executable, "-m", "gateway.web_server", str(settings.SHUTDOWN_DRAIN_SECONDS)),
            *("--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--host", settings.BIND, "--port", str(settings.PORT)),
            *("--workers", str(settings.WEB_WORKERS), "--respawn-failed-workers"),
            *("--blocking-threads", str(settings.CONNECTIONS_PER_WORKER)),
            *("--backpressure", str(settings.CONNECTIONS_PER_WORKER)),
            *("--workers-kill-timeout", str(settings.SHUTDOWN_GRACE_SECONDS)),
            *("--log-level", "error", "--no-access-log"),
            "gateway.wsgi:application",
        ],
        "no request is answered",
    )


def worker() -> Program:
    return Program(
        "worker",
        "Celery worker",
        [sys.executable, "-m", "gateway.celery_worker"],
        "deletes, expiry, clean-up and syncs wait",
    )


PROGRAMS: dict[str, Callable[[], Program]] = {"web": web, "worker": worker}


def become(program: Program) -> NoReturn:
    """Replace this process by the program, for a deployment whose own supervisor runs each part."""
    _replace(program.command)


def become_supervisor(banner: str) -> NoReturn:
    """Replace this process by the supervisor of all parts, which prints the banner when they are ready."""
    plan = Plan(
        [program() for program in PROGRAMS.values()],
        grace_seconds=settings.SHUTDOWN_GRACE_SECONDS,
        patience_seconds=settings.SHUTDOWN_DRAIN_SECONDS + settings.SHUTDOWN_GRACE_SECONDS + MARGIN_SECONDS,
        address=(_loopback(), settings.PORT),
        banner=banner,
    )
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        pipe.write(plan.to_json())  # some 2 KiB, which a pipe holds until its reader is there
    os.set_inheritable(reader, True)
    # Ctrl-C in the moment before it can handle one waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    how = ["-m", "gateway.forking"] if preloading.forks() else ["-S", "-E", "-m", "gateway.supervisor"]
    _replace([sys.executable, *how, str(reader)])


def _replace(command: list[str]) -> NoReturn:
    _raise_file_limit()
    os.chdir(settings.BASE_DIR)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - our own command lines


def _raise_file_limit() -> None:
    """Let the parts have a file for each connection: the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def base_url() -> str:
    """Return where this machine reaches the web server."""
    host = _loopback()
    return f"http://[{host}]:{settings.PORT}" if ":" in host else f"http://{host}:{settings.PORT}"


def _loopback() -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.BIND, settings.BIND)  # noqa: S104 - read only
