"""A short soak: what was accepted is there, and nothing else, whatever is killed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import breaks
from tests.soak.breaks import Break
from tests.soak.rounds import Soak
from tests.soak.world import Kind, World

FIRST: dict[Kind, list[Break]] = {
    "sqlite": [breaks.kill_behind_the_last_byte, breaks.kill_both],
    "postgresql": [breaks.kill_database, breaks.kill_web],
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", list(FIRST))
def test_nothing_is_lost_wrong_or_left_whatever_is_killed(
    kind: Kind, need_service: Callable[[str], str], tmp_path: Path
) -> None:
    need_service("weed")
    if kind == "postgresql":
        need_service("PostgreSQL")
        need_service("Redis")
    with World(tmp_path, kind) as world:
        figures = Soak(world, seed=7).run(len(FIRST[kind]), seconds=300, first=FIRST[kind])
    assert figures.findings == []
    assert figures.rounds == len(FIRST[kind])
    assert figures.kills >= 2
    assert figures.files > 0
    assert figures.answers["content 200"] > 0
