"""Counters that drift are found and mended."""

from __future__ import annotations

from pytest_django import DjangoAssertNumQueries

from files_app.services.index.usage import recount, recount_all
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
