"""What starts gateways is spread over a session, and no module is cut by it."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.order import LIGHT, ONE, arranged, spread


def test_each_kind_is_spread_evenly_and_keeps_its_order() -> None:
    assert spread([1, 2, 3, 4], ["a", "b"]) == [1, "a", 2, 3, "b", 4]
    assert spread([], ["a"]) == ["a"]


def test_every_test_of_this_session_runs_once_and_modules_stay_whole(request: pytest.FixtureRequest) -> None:
    items = request.session.items
    ordered = arranged(items)
    assert sorted(item.nodeid for item in ordered) == sorted(item.nodeid for item in items)
    light = [bool(set(LIGHT) & set(item.path.parents)) for item in ordered]
    assert light == sorted(light)
    for folder in ONE:
        inside = [folder in item.path.parents for item in ordered]
        assert [within for within, _ in groupby(inside)].count(True) <= 1
