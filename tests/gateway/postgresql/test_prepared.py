"""Uploads by statements that their session has prepared, and what comes of one that has not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import ProgrammingError, connection, models, transaction
from django.db.models import Func, Value
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from files_app.models import Organization
from files_app.services.index.all_or_nothing import all_or_nothing
from files_app.services.index.statements import Statement, of, outcomes_of
from files_app.services.uploads.reservation import reserving
from gateway.postgresql import prepared
from tests.files_app.cast import Tenant, local_account, make_tenant
from tests.files_app.pooled import empty, other_database
from tests.servers import PgBouncer, PostgreSQL

#: Of a small upload. It begins with room, a count of what runs, a file, a copy; it ends with a file, a copy,
#: usage, an event.
STATEMENTS = 8

_NAME_BY_LIMIT = Statement(
    lambda: Organization.objects.filter(id=of(Organization, "id")).update(
        name=Func(Value("statement_timeout"), function="current_setting", output_field=models.CharField())
    )
)


@pytest.fixture(scope="module")
def url(postgresql: PostgreSQL) -> str:
    return postgresql.create_gateway_database("prepared")


@pytest.fixture
def on_postgresql(
    url: str, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The pool lends the same connection again and again, and plans stay for as long as a test takes."""
    monkeypatch.setattr(prepared, "PLANNED_SECONDS", 3600.0)
    with django_db_blocker.unblock(), other_database(url):
        connection.settings_dict["OPTIONS"]["pool"]["max_size"] = 1
        empty()
        yield


@pytest.fixture
def tenant(on_postgresql: None) -> Tenant:
    return some_tenant()


def some_tenant() -> Tenant:
    tenant = make_tenant("acme")
    local_account(tenant.organization, is_default=True)
    return tenant


def name_by_limit(pk: int) -> None:
    try:
        all_or_nothing(_NAME_BY_LIMIT.with_values(id=pk))
    finally:
        connection.close()


def ask(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def count_prepared() -> int:
    return int(ask("SELECT count(*) FROM pg_prepared_statements")[0][0])


def messages(tenant: Tenant) -> list[str]:
    """Return the first words of the messages with which an upload writes."""
    with CaptureQueriesContext(connection) as captured:
        tenant.api.create()
    words = [query["sql"].split()[0] for query in captured]
    return [word for word in words if word in {"PREPARE", "DISCARD", "EXECUTE", "WITH"}]


def test_a_session_prepares_the_statements_of_an_upload_once(tenant: Tenant) -> None:
    assert messages(tenant) == ["PREPARE", "DISCARD", "PREPARE", "EXECUTE"]
    for _ in range(7):
        assert messages(tenant) == ["EXECUTE"] * 2
    assert count_prepared() == STATEMENTS
    assert ask("SELECT min(generic_plans) FROM pg_prepared_statements") == [(3,)]


def test_a_connection_for_one_request_prepares_nothing(url: str, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), other_database(f"{url}?pool=false"):
        empty()
        assert messages(some_tenant()) == ["WITH"] * 2


def test_names_say_the_same_in_every_session(tenant: Tenant) -> None:
    names = []
    for _ in range(2):
        tenant.api.create()
        names.append(sorted(ask("SELECT name, statement FROM pg_prepared_statements")))
        connection.close_pool()
    assert names[0] == names[1]


@pytest.mark.parametrize("forget", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_an_upload_loses_nothing_with_what_its_session_forgot(tenant: Tenant, forget: str) -> None:
    tenant.api.create()
    ask(forget)
    assert messages(tenant) == ["EXECUTE", "WITH", "WITH"]
    assert messages(tenant) == ["WITH"] * 2
    assert (tenant.api.usage()["file_count"], count_prepared()) == (3, 0)


def test_a_session_that_has_a_name_already_is_told_the_text(tenant: Tenant) -> None:
    tenant.api.create()
    connection.connection.prepared = frozenset()  # as if another process had prepared by way of a pooler
    assert messages(tenant) == ["PREPARE", "WITH", "WITH"]
    assert tenant.api.usage()["file_count"] == 2


def test_an_upload_goes_on_when_a_column_has_changed(tenant: Tenant) -> None:
    tenant.api.create()
    ask("ALTER TABLE files_app_file ALTER uploaded_by TYPE text")
    try:
        assert messages(tenant) == ["EXECUTE", "WITH", "WITH"]
    finally:
        ask("ALTER TABLE files_app_file ALTER uploaded_by TYPE varchar(150)")
    assert tenant.api.usage()["file_count"] == 2


def test_what_is_refused_leaves_the_session_its_statements(tenant: Tenant) -> None:
    tenant.api.create(b"hello")
    tenant.set_limits(quota_bytes=8)
    refused = tenant.api.upload(b"hello")
    assert (refused.status, refused.error["code"]) == (403, "storage_quota_exceeded")
    tenant.set_limits(quota_bytes=100)
    assert messages(tenant) == ["EXECUTE"] * 2


def test_a_part_of_a_transaction_goes_by_its_text(tenant: Tenant) -> None:
    step = reserving(tenant.organization.pk, 1)
    all_or_nothing(step)
    ask("DEALLOCATE ALL")
    with transaction.atomic():
        all_or_nothing(step)
        all_or_nothing(step)
    assert Organization.objects.get().reserved_bytes == 3


def test_types_that_cannot_be_told_and_percent_signs_do_no_harm(on_postgresql: None) -> None:
    def answer(sql: str) -> tuple[Any, ...]:
        with connection.cursor() as cursor:
            connection.execute_alone(cursor, (sql,), ["a"])  # type: ignore[attr-defined]  # the backend's own
            return outcomes_of(cursor)[-1].row

    assert answer("SELECT '100 %%', '%%s', %s::text") == ("100 %", "%s", "a")
    assert count_prepared() == 1
    assert answer("SELECT %s IS NULL") == (False,)
    assert connection.connection.prepared is None
    with pytest.raises(ProgrammingError, match="no_such_table"):
        answer("SELECT %s FROM no_such_table")


def test_plans_are_not_those_of_a_table_that_was_small(
    on_postgresql: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT id FROM growing WHERE id = %s"

    def plan() -> str:
        with connection.cursor() as cursor:
            assert prepared.execute(cursor, (sql,), [3])
        [(name,)] = ask("SELECT name FROM pg_prepared_statements")
        return "\n".join(line for (line,) in ask(f"EXPLAIN EXECUTE {name}(3)"))

    ask("CREATE TEMPORARY TABLE growing AS SELECT id, repeat('x', 500) FROM generate_series(1, 5) id")
    ask("CREATE INDEX ON growing (id)")
    ask("ANALYZE growing")
    assert all("Seq Scan" in plan() for _ in range(8))
    ask("INSERT INTO growing SELECT id, repeat('x', 500) FROM generate_series(6, 10000) id")
    assert "Seq Scan" in plan()
    later = time.monotonic() + prepared.PLANNED_SECONDS
    monkeypatch.setattr(prepared, "monotonic", lambda: later)
    assert "Seq Scan" not in plan()


class TestBehindAPooler:
    """PgBouncer in transaction mode, where each message may meet another of four sessions."""

    def test_nothing_is_prepared(
        self, pgbouncer: PgBouncer, url: str, django_db_blocker: DjangoDbBlocker
    ) -> None:
        pooled = pgbouncer.in_front_of(url)
        with django_db_blocker.unblock(), other_database(pooled, behind_pooler=True):
            empty()
            tenant = some_tenant()
            assert messages(tenant) == ["WITH"] * 2

    def test_the_first_message_of_a_thread_asks_for_its_limits_too(
        self, pgbouncer: PgBouncer, url: str, django_db_blocker: DjangoDbBlocker
    ) -> None:
        with django_db_blocker.unblock(), other_database(pgbouncer.in_front_of(url), behind_pooler=True):
            empty()
            connection.settings_dict["OPTIONS"]["statement_seconds"] = 7  # as a web server's
            row = Organization.objects.create(name="acme")
            name_by_limit(row.pk)  # the statement is written
            Organization.objects.update(name="acme")
            with ThreadPoolExecutor(1) as pool:
                pool.submit(name_by_limit, row.pk).result()
            assert Organization.objects.get().name == "7s"

    def test_uploads_lose_nothing_though_nobody_announced_it(
        self, pgbouncer: PgBouncer, url: str, django_db_blocker: DjangoDbBlocker
    ) -> None:
        with django_db_blocker.unblock(), other_database(pgbouncer.in_front_of(url)):
            del connection.settings_dict["OPTIONS"]["options"]  # one may tell PgBouncer to overlook them
            empty()
            tenant = some_tenant()
            for _ in range(3):
                connection.close_pool()  # the next one may find the statements that this one has prepared
                for _ in range(4):
                    tenant.api.create()
            assert tenant.api.usage()["file_count"] == 12
