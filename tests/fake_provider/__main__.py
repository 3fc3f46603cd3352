"""Run the fake provider as a process: `python -m tests.fake_provider --port 0 --json`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from types import FrameType

from .server import FakeProvider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--json", action="store_true", help="print the ports as one line of JSON")
    parser.add_argument("--discard-bytes", action="store_true", help="keep sizes and digests only")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    with FakeProvider(port=arguments.port, discard_bytes=arguments.discard_bytes) as fake:
        ports = {"port": fake.port, "storage_port": fake.storage_port}
        sys.stdout.write((json.dumps(ports) if arguments.json else fake.root) + "\n")
        sys.stdout.flush()
        signal.pause()


def _stop(signum: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
