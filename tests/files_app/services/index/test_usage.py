"""Counters that drift are found and mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import time_machine
from pytest_django import DjangoAssertNumQueries

from files_app.services.index.usage import recount, recount_all, recount_in_turn
from tests.files_app.cast import Tenant


def test_drift_is_shown_and_mended(acme: Tenant) -> None:
    acme.api.create(b"12345")
    assert recount_all() == []
    acme.set_limits(used_bytes=7, reserved_bytes=-3, file_count=9)
    drift = recount(acme.organization, dry_run=True)
    assert drift.counted == {"used_bytes": 7, "reserved_bytes": -3, "file_count": 9}
    assert drift.actual == {"used_bytes": 5, "reserved_bytes": 0, "file_count": 1}
    assert acme.fresh().used_bytes == 7
    assert len(recount_all()) == 1
    assert (acme.fresh().used_bytes, acme.fresh().reserved_bytes, acme.fresh().file_count) == (5, 0, 1)


def test_a_recount_that_finds_nothing_wrong_keeps_nobody_waiting(
    acme: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    acme.api.create(b"12345")
    with django_assert_num_queries(1) as asked:  # which locks nothing
        assert recount(acme.organization).is_clean
    assert "UPDATE" not in asked.captured_queries[0]["sql"]


def test_each_organization_has_its_turn_once_a_day(acme: Tenant, other: Tenant) -> None:
    """Also where nobody worked in the hour in which it would have had it."""
    turns = []
    with time_machine.travel("2026-03-30T00:00:00Z", tick=False) as clock:
        for hour in (0, 1, 2, 23, 24, 25, 60, 61, 62):
            clock.move_to(datetime(2026, 3, 30, tzinfo=UTC) + timedelta(hours=hour))
            for tenant in (acme, other):
                tenant.set_limits(used_bytes=7)
            recount_in_turn()
            turns.append([tenant.fresh().used_bytes == 0 for tenant in (acme, other)])
    first, second, nobodys = [True, False], [False, True], [False, False]
    assert turns == [first, second, nobodys, first, second, nobodys, first, second, nobodys]
