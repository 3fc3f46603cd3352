"""On PostgreSQL: who was faster is decided on the row, whatever the other had read before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from files_app.exceptions import (
    FileHeldError,
    FileNotFoundInIndexError,
    GatewayError,
    InvalidRequestError,
)
from files_app.models import File, HeldFile, LegalHold
from files_app.services.deletes import outbox, purging, trash
from files_app.services.index.callers import system_caller
from files_app.services.reading.listing import FileFilters
from files_app.services.retention import holds
from tests.files_app.cast import Tenant, counters, local_account, make_tenant
from tests.files_app.pooled import empty, other_database
from tests.processes import wait_until
from tests.servers import PostgreSQL


@pytest.fixture(scope="module")
def migrated(postgresql: PostgreSQL) -> str:
    return postgresql.create_gateway_database("races")


@pytest.fixture
def tenant(
    migrated: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> Iterator[Tenant]:
    monkeypatch.setattr(outbox, "send", lambda copy: True)  # no broker
    with django_db_blocker.unblock(), other_database(migrated):
        HeldFile.objects.all().delete()
        LegalHold.objects.all().delete()
        empty()
        tenant = make_tenant("acme")
        tenant.accounts["local"] = local_account(tenant.organization, is_default=True)
        yield tenant


def after_waiting_for(first: Callable[[], object], second: Callable[[], object]) -> type[Exception] | None:
    """Do `first`, and commit it once `second` waits for it in another transaction; return how that ended."""

    def run() -> None:
        try:
            second()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            future = pool.submit(run)
            wait_until(lambda: future.done() or somebody_waits(), seconds=20, what="the other to wait")
            assert not future.done()
        error = future.exception(20)
    assert error is None or isinstance(error, GatewayError)
    return None if error is None else type(error)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_a_delete_that_waited_for_a_hold_sees_it(tenant: Tenant) -> None:
    tenant.api.create()
    file, stale = File.objects.get(), File.objects.get()
    caller = system_caller(tenant.organization.pk)
    ended = after_waiting_for(
        lambda: holds.hold_files([file], reason="case", caller=caller),
        lambda: outbox.delete_file(stale, caller=caller),
    )
    assert ended is FileHeldError
    assert (File.objects.get().state, counters(tenant.organization)) == ("available", (5, 0, 1))


def test_a_hold_that_waited_for_a_delete_is_refused(tenant: Tenant) -> None:
    tenant.api.create()
    file, stale = File.objects.get(), File.objects.get()
    caller = system_caller(tenant.organization.pk)
    ended = after_waiting_for(
        lambda: outbox.delete_file(file, caller=caller),
        lambda: holds.hold_files([stale], reason="case", caller=caller),
    )
    assert ended is FileNotFoundInIndexError
    assert (File.objects.get().is_held, LegalHold.objects.count()) == (False, 0)


def test_a_purge_that_waited_for_a_restore_leaves_the_file(tenant: Tenant) -> None:
    tenant.set_limits(trash_days=7, trash_is_free=True)
    tenant.api.delete(f"/files/{tenant.api.create()['id']}")
    file, stale = File.objects.get(), File.objects.get()
    caller = system_caller(tenant.organization.pk)
    ended = after_waiting_for(
        lambda: trash.restore(file, caller=caller), lambda: purging.purge(stale, caller=caller)
    )
    assert ended is InvalidRequestError
    assert (File.objects.get().state, counters(tenant.organization)) == ("available", (5, 0, 1))


def test_one_of_two_restores_counts(tenant: Tenant) -> None:
    tenant.set_limits(trash_days=7, trash_is_free=True)
    tenant.api.delete(f"/files/{tenant.api.create()['id']}")
    file, stale = File.objects.get(), File.objects.get()
    caller = system_caller(tenant.organization.pk)
    ended = after_waiting_for(
        lambda: trash.restore(file, caller=caller), lambda: trash.restore(stale, caller=caller)
    )
    assert ended is InvalidRequestError
    assert counters(tenant.organization) == (5, 0, 1)


def test_holds_on_a_filter_and_their_end_work_there_too(tenant: Tenant) -> None:
    tenant.api.create(headers={"x-tfy-metadata": '{"user": "42"}'})
    caller = system_caller(tenant.organization.pk)
    filters = FileFilters(metadata={"user": "42"})
    hold = holds.hold_matching(tenant.organization, filters, reason="case", caller=caller)
    assert File.objects.get().is_held
    holds.lift(hold, caller=caller)
    assert not File.objects.get().is_held
