"""Fills and measures the database that DATABASE_URL names, and prints JSON; `benchmarks.growth` runs it.

A process of its own: one process of Django has one database.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import asdict

import django


def main() -> None:
    """Print `{"fill": {step: seconds}, "indexes": [[name, bytes]], "timings": [...]}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--organizations", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from django.core.management import call_command  # both need Django

    from benchmarks.growth import fill, operations

    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    url = os.environ["DATABASE_URL"]
    took = fill.fill(url, fill.Size(arguments.files, arguments.organizations))
    timings = [asdict(each) for each in operations.Operations(rounds=arguments.rounds).measure()]
    print(json.dumps({"fill": took, "indexes": fill.index_sizes(url), "timings": timings}))


if __name__ == "__main__":
    main()
