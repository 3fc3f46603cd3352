"""The order of a session's tests: random as before, with what starts gateways spread over it.

pytest-xdist hands tests out in order, in pieces that get smaller and smaller. Where a piece ends inside of a
module, two processes start the module's gateway. pytest-django puts last what needs no database of this
process, and with it all that starts gateways: there most modules would be cut. So they go between the modules
that use the database, the pure tests of the providers come last, and the modules of a folder that shares its
gateway follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import pytest

TESTS = Path(__file__).parent
#: Folders whose modules share what takes long to start.
ONE = (TESTS / "sdk", TESTS / "files_app" / "admin" / "browser")
#: Folders that start nothing.
LIGHT = (TESTS / "providers",)

T = TypeVar("T")


def arranged(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return all items; those with the database stay among themselves as pytest-django has put them."""
    database: list[pytest.Item] = []
    light: list[pytest.Item] = []
    others: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if _uses_database(item):
            database.append(item)
        elif set(LIGHT) & set(item.path.parents):
            light.append(item)
        else:
            others.setdefault(_place(item), []).append(item)
    modules = [list(module) for _, module in groupby(database, key=_place)]
    return [item for module in spread(modules, list(others.values())) for item in module] + light


def spread(*kinds: Sequence[T]) -> list[T]:
    """Merge the kinds, so that each is spread evenly and keeps its order."""
    placed = [((index + 0.5) / len(kind), each) for kind in kinds for index, each in enumerate(kind)]
    return [each for _, each in sorted(placed, key=lambda pair: pair[0])]


def _place(item: pytest.Item) -> Path:
    return next((folder for folder in ONE if folder in item.path.parents), item.path)


def _uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or not {"db", "transactional_db"}.isdisjoint(
        fixtures
    )
