"""`python -m gateway.web_server SECONDS ...`: granian's command line; it drains for SECONDS when it stops.

Its main process watches its workers, which are forked of it.
"""

from __future__ import annotations

import sys
from typing import Any

from granian import cli

from gateway import draining, preloading
from gateway.draining_server import DrainingServer
from gateway.web_workers import Watch


class Server(DrainingServer):
    """Granian's main process."""

    def serve(self, *args: Any, **kwargs: Any) -> None:
        preloading.load()
        watch = Watch(lambda: self.wrks)
        watch.start()
        self.load = watch.loader(draining.load)
        super().serve(*args, **kwargs)


def main() -> None:
    Server.drain_seconds = float(sys.argv.pop(1))
    cli.Server = Server  # type: ignore[attr-defined]  # which its command line instantiates
    cli.entrypoint()  # type: ignore[no-untyped-call]  # granian's own


if __name__ == "__main__":
    main()
