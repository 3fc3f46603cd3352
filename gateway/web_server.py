"""`python -m gateway.web_server SECONDS ...`: granian's command line; it drains for SECONDS when it stops."""

from __future__ import annotations

import sys

from granian import cli

from gateway.draining_server import DrainingServer

if __name__ == "__main__":
    DrainingServer.drain_seconds = float(sys.argv.pop(1))
    cli.Server = DrainingServer  # type: ignore[attr-defined]  # which its command line instantiates
    cli.entrypoint()  # type: ignore[no-untyped-call]  # granian's own
