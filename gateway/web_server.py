"""`python -m gateway.web_server SECONDS ...`: granian that goes on serving for SECONDS after SIGTERM.

The arguments behind the first are granian's own. A stop has three steps; `gateway/draining.py` is the side of
the workers.

1. SIGTERM: readiness goes off and answers close their connections, so that proxies turn to others.
2. SECONDS later the workers accept nothing more, and idle connections end.
3. Running requests end by themselves, or are cut after granian's `--workers-kill-timeout`.

SIGINT, which is Ctrl-C, and a second SIGTERM go on to step 2 at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from granian import cli
from granian.server.mp import MPServer

from gateway import draining


class DrainingServer(MPServer):
    """Granian's main process."""

    drain_seconds = 0.0
    _is_draining = False

    def serve(self, *args: Any, **kwargs: Any) -> None:
        self._main_pid = os.getpid()
        draining.hold_drains()
        super().serve(target_loader=draining.load)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self._main_pid:
            return  # a worker that was forked just now: it takes orders once it has loaded the application
        if args[0] != signal.SIGTERM or self._is_draining or not self._may_drain():
            super().signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian's own
            return
        self._is_draining = True
        for worker in list(self.wrks):
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, draining.DRAIN)
        self._later(super().signal_handler_interrupt)

    def _may_drain(self) -> bool:
        return draining.IS_POSSIBLE and self.drain_seconds > 0

    def _later(self, stop: Callable[[], None]) -> None:
        timer = threading.Timer(self.drain_seconds, stop)
        timer.daemon = True
        timer.start()


def main() -> None:
    DrainingServer.drain_seconds = float(sys.argv.pop(1))
    cli.Server = DrainingServer  # type: ignore[attr-defined]  # which its command line instantiates
    cli.entrypoint()  # type: ignore[no-untyped-call]  # granian's own


if __name__ == "__main__":
    main()
