"""Measures what is flat and what is not when the index grows. `make growth` runs it.

python -m benchmarks.growth [--files 10000000] [--organizations 10000] [--rounds 5]

Starts a PostgreSQL of its own, fills a database with 1,000 files and one with as many as asked for, with as
many copies and twice as many audit events, half of them in one organization, and prints one table. Ten
million files take about 30 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.servers import PostgreSQL

_SMALL = 1_000
_BYTES_PER_FILE = 3_500


def main() -> None:
    """Run both sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000_000)
    parser.add_argument("--organizations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the database is kept")
    arguments = parser.parse_args()
    free = shutil.disk_usage(arguments.directory).free
    if free < arguments.files * _BYTES_PER_FILE:
        sys.exit(
            f"error: {arguments.files * _BYTES_PER_FILE:,} free bytes are needed in {arguments.directory}"
        )
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        server = PostgreSQL(Path(directory) / "postgresql")
        server.prepare()
        server.start()
        try:
            small = _measured(server, Path(directory), _SMALL, 20, arguments.rounds)
            large = _measured(
                server, Path(directory), arguments.files, arguments.organizations, arguments.rounds
            )
        finally:
            server.stop()
    _show(small, large, arguments.files)


def _measured(
    server: PostgreSQL, directory: Path, files: int, organizations: int, rounds: int
) -> dict[str, Any]:
    print(f"{files:,} files ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.growth.measure"]
    options = {"--files": files, "--organizations": organizations, "--rounds": rounds}
    environment = {
        **os.environ,
        "DATABASE_URL": server.create_database(f"growth{files}"),
        "DATA_DIR": str(directory / f"data{files}"),
        "ALLOWED_HOSTS": "*",
        "SECRET_KEY": "only-for-a-benchmark-" * 3,
    }
    asked = [part for name, value in options.items() for part in (name, str(value))]
    ran = subprocess.run([*command, *asked], env=environment, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _show(small: dict[str, Any], large: dict[str, Any], files: int) -> None:
    print(f"| milliseconds, median (longest) | {_SMALL:,} files | {files:,} files |")
    print("| --- | --- | --- |")
    for before, after in zip(small["timings"], large["timings"], strict=True):
        cells = (f"{each['median']:.1f} ({each['longest']:.1f})" for each in (before, after))
        print(f"| {after['what']} | {' | '.join(cells)} |")
    print("\nFilled in", ", ".join(f"{what} {seconds:.0f} s" for what, seconds in large["fill"].items()))
    print("Indexes of files:", ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in large["indexes"]))


if __name__ == "__main__":
    main()
