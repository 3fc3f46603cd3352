"""The figures of the overview: counted once a minute, with a history worked back from now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from files_app.models import AuditAction, AuditEvent, File, FileCopy, ProviderAccount
from files_app.services.index.metering.storage import settle_usage
from files_app.services.operations import overview
from files_app.services.operations.overview import usage_history, usage_level
from files_app.services.tenants.staff import EVERYTHING
from tests.files_app.cast import Tenant


def test_the_figures_are_counted_once_a_minute(
    acme: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    overview.overview(EVERYTHING)
    with django_assert_num_queries(0):
        overview.overview(EVERYTHING)


@pytest.mark.parametrize(
    ("percent", "level"), [(79.9, "ok"), (80, "warning"), (95, "critical"), (120, "critical")]
)
def test_the_colour_of_usage_changes_at_80_and_95_percent(percent: float, level: str) -> None:
    assert usage_level(percent) == level


def test_late_deletes_are_those_that_were_due_long_ago_and_nobody_works_on(acme: Tenant) -> None:
    for _ in range(2):
        acme.api.delete(f"/files/{acme.api.create()['id']}")
    assert (overview.deletions(EVERYTHING).pending, overview.deletions(EVERYTHING).late) == (2, 0)
    now = timezone.now()
    FileCopy.objects.update(next_attempt_at=now - timedelta(minutes=6))
    assert overview.deletions(EVERYTHING).late == 2
    in_hand = FileCopy.objects.earliest("pk")
    FileCopy.objects.filter(pk=in_hand.pk).update(lease_expires_at=now + timedelta(minutes=1))
    assert overview.deletions(EVERYTHING).late == 1


def test_the_history_of_usage_is_worked_back_from_now(acme: Tenant) -> None:
    acme.api.create(b"12345")
    history = usage_history(acme.fresh())
    assert history[-1].used_bytes == 5
    assert history[0].used_bytes == 0
    assert len(history) == 30


def test_days_that_are_over_are_worked_back_once_a_day(acme: Tenant) -> None:
    def one_more_three_days_ago() -> None:
        file_id = acme.api.create(b"12345")["id"]
        File.objects.filter(file_id=file_id).update(indexed_at=timezone.now() - timedelta(days=3))

    one_more_three_days_ago()
    acme.api.create(b"123")
    gone = acme.api.create(b"12")["id"]
    acme.api.delete(f"/files/{gone}")
    assert [day.used_bytes for day in usage_history(acme.fresh())[-5:]] == [0, 5, 5, 5, 8]
    acme.api.create(b"1")
    with CaptureQueriesContext(connection) as statements:
        assert [day.used_bytes for day in usage_history(acme.fresh())[-5:]] == [0, 5, 5, 5, 9]
    first_day = f"{timezone.now() - timedelta(days=29):%Y-%m-%d}"
    assert not any(first_day in statement["sql"] for statement in statements)


def test_the_events_of_days_that_are_over_are_counted_once_a_day(acme: Tenant) -> None:
    def three_days_ago() -> None:
        then = timezone.now() - timedelta(days=3)
        AuditEvent.objects.create(actor_type="api_key", action=AuditAction.FILE_CREATE, created_at=then)

    three_days_ago()
    acme.api.create()
    assert [day.uploads for day in overview.activity(EVERYTHING)[-4:]] == [1, 0, 0, 1]
    three_days_ago()  # none comes so late: it shows that nobody asks
    acme.api.create()
    assert [day.uploads for day in overview.activity(EVERYTHING)[-4:]] == [1, 0, 0, 2]


def test_what_accounts_hold_is_known_between_two_looks_at_what_is_billed(acme: Tenant) -> None:
    def held() -> list[tuple[str, int, int]]:
        cache.clear()
        return [(each.name, each.files, each.bytes) for each in overview.overview(EVERYTHING).accounts]

    kept = acme.api.create(b"12345")["id"]
    assert held() == [("local", 1, 5)]
    settle_usage()
    acme.api.create(b"123")
    assert held() == [("local", 2, 8)]
    acme.api.delete(f"/files/{kept}")
    assert held() == [("local", 1, 3)]


def test_the_overview_names_the_accounts_that_hold_most_however_many_there_are(
    acme: Tenant,
) -> None:
    acme.api.create(b"12345")
    for number in range(20):
        ProviderAccount.objects.create(name=f"empty-{number}", driver="local", organization=acme.organization)
    with CaptureQueriesContext(connection) as queries:
        assert [each.name for each in overview.overview(EVERYTHING).accounts] == ["local"]
    table = ProviderAccount._meta.db_table
    assert not [
        each
        for each in queries
        if f'FROM "{table}"' in each["sql"] and "WHERE" not in each["sql"] and "COUNT" not in each["sql"]
    ]
