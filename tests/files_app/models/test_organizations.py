"""Counters that drift are found and mended; a race for the last bytes has exactly as many winners as fit."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from files_app.exceptions import QuotaExceededError
from files_app.models import Organization
from files_app.services.index.usage import recount, recount_all
from files_app.services.uploads.reservation import reserve
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


def test_a_reservation_that_does_not_fit_says_the_numbers(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=100, used_bytes=90)
    reserve(acme.organization, 10)
    with pytest.raises(QuotaExceededError, match="100 bytes, of which 100 bytes are in use"):
        reserve(acme.organization, 1)
    reserve(acme.organization, 0)


@pytest.mark.django_db(transaction=True)
def test_a_race_for_the_last_bytes_has_as_many_winners_as_fit() -> None:
    organization = Organization.objects.create(name="race", quota_bytes=1000)
    start = threading.Barrier(8)
    won: list[int] = []

    def run(number: int) -> None:
        start.wait()
        try:
            for _ in range(5):
                won.extend([number] * Organization.objects.reserve(organization.pk, 100))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 10
    organization.refresh_from_db()
    assert organization.reserved_bytes == 1000
