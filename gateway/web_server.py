"""`python -m gateway.web_server ...`: granian's command line, whose main process watches its workers."""

from __future__ import annotations

from typing import Any

from granian import cli
from granian._internal import load_target
from granian.server.mp import MPServer

from gateway.web_workers import Watch


class WatchedServer(MPServer):
    """Granian's main process."""

    def serve(self, *args: Any, **kwargs: Any) -> None:
        watch = Watch(lambda: self.wrks)
        watch.start()
        super().serve(target_loader=watch.loader(load_target))


if __name__ == "__main__":
    cli.Server = WatchedServer  # type: ignore[attr-defined]  # which its command line instantiates
    cli.entrypoint()  # type: ignore[no-untyped-call]  # granian's own
