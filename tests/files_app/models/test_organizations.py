"""The counters of an organization, which change by conditional updates alone."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from files_app.models import Organization


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
