"""Granian's main process, which goes on serving for a while after SIGTERM.

A stop has three steps; `gateway/draining.py` is the side of the workers.

1. SIGTERM: readiness goes off and answers close their connections, so that proxies turn to others.
2. `drain_seconds` later the workers accept nothing more, and idle connections end.
3. Running requests end by themselves, or are cut after granian's `--workers-kill-timeout`.

SIGINT, which is Ctrl-C, begins with step 2. A second SIGTERM changes nothing: who signals a whole group, as
systemd does, often has it passed on by another process of the group as well.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from granian.server.mp import MPServer

from gateway import draining


class DrainingServer(MPServer):
    """`load`: loads the application in a worker, by way of `draining.load`."""

    drain_seconds = 0.0
    load: Callable[[str], Any] = staticmethod(draining.load)
    _is_draining = False

    def serve(self, *args: Any, **kwargs: Any) -> None:
        self._main_pid = os.getpid()
        draining.hold_drains()
        super().serve(target_loader=self.load)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self._main_pid:
            return  # a worker that was forked just now: it takes orders once it has loaded the application
        if args[0] != signal.SIGTERM or not draining.IS_POSSIBLE or not self.drain_seconds:
            super().signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian's own
        elif not self._is_draining:
            self._is_draining = True
            self._drain()

    def _drain(self) -> None:
        for worker in list(self.wrks):
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, draining.DRAIN)
        timer = threading.Timer(self.drain_seconds, super().signal_handler_interrupt)
        timer.daemon = True
        timer.start()
