"""Kill and check at random for a while, and print the figures. `make soak` runs it.

python -m tests.soak [--seed N] [--rounds 20] [--seconds 600] [--databases sqlite,postgresql]

Ends with 1 when a promise was broken, and then keeps the directory with logs and data.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.rounds import Soak
from tests.soak.world import World


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments.add_argument("--rounds", type=int, default=20, help="for each database")
    arguments.add_argument("--seconds", type=float, default=600.0, help="of all together, at most")
    arguments.add_argument("--databases", default="sqlite,postgresql")
    options = arguments.parse_args()
    kinds = options.databases.split(",")
    print(f"seed {options.seed}", flush=True)
    is_broken = False
    ends = time.monotonic() + options.seconds
    for number, kind in enumerate(kinds):
        directory = Path(tempfile.mkdtemp(prefix=f"soak-{kind}-"))
        share = (ends - time.monotonic()) / (len(kinds) - number)
        with World(directory, kind) as world:
            figures = Soak(world, options.seed, tell=tell).run(options.rounds, share)
        print(f"{kind}: {figures.line()}")
        print(f"  broken: {dict(figures.breaks)}\n  answers: {dict(sorted(figures.answers.items()))}")
        for found, words in figures.findings:
            print(f"  {found}: {words}")
        if figures.findings:
            is_broken = True
            print(f"  seed {options.seed}, round {figures.rounds}; logs and data are in {directory}")
        else:
            shutil.rmtree(directory)
        sys.stdout.flush()
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
