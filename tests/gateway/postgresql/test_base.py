"""The backend after PostgreSQL has ended sessions, as its restart, a failover and an administrator do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, connections, transaction
from pytest_django import DjangoDbBlocker

from files_app.models import Organization
from gateway.connections import database
from gateway.postgresql.base import DatabaseWrapper
from tests.files_app.cast import Tenant, local_account, make_tenant
from tests.files_app.client import Reply
from tests.files_app.pooled import empty, other_database
from tests.servers import PostgreSQL

Cut = Callable[[], None]


@pytest.fixture(scope="module")
def url(postgresql: PostgreSQL) -> str:
    return postgresql.create_gateway_database("cut")


@pytest.fixture(params=["true", "false"], ids=["pool", "no pool"])
def on_postgresql(
    url: str, request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    with django_db_blocker.unblock(), other_database(f"{url}?pool={request.param}"):
        empty()
        yield


@pytest.fixture
def cut(url: str) -> Iterator[Cut]:
    """End every session of the database from outside, and wait until they have ended."""
    with psycopg.connect(url.rpartition("/")[0] + "/postgres", autocommit=True) as administrator:

        def end_sessions() -> None:
            administrator.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'cut'"
            )

        yield end_sessions


@pytest.fixture
def tenant(on_postgresql: None) -> Tenant:
    tenant = make_tenant("acme")
    local_account(tenant.organization, is_default=True)
    return tenant


def configured(url: str) -> dict[str, Any]:
    settings: dict[str, Any] = connections.configure_settings({"default": database(url)})["default"]
    return settings


def fill_pool(count: int) -> None:
    """Let the pool hold so many connections that were used before."""
    pool = getattr(connection, "pool", None)
    with contextlib.ExitStack() as held:
        for _ in range(count if pool else 0):
            held.enter_context(pool.connection())


def test_no_request_notices_that_sessions_were_ended(tenant: Tenant, cut: Cut) -> None:
    file = tenant.api.create()["id"]
    requests: list[Callable[[], Reply]] = [
        lambda: tenant.api.get("//readyz"),
        lambda: tenant.api.get("/files"),
        lambda: tenant.api.get(f"/files/{file}"),
        lambda: tenant.api.upload(),
    ]
    for request in requests:
        fill_pool(4)
        cut()
        answers = []
        for _ in range(5):
            answers.append(request())
            connection.close()  # as Django does at the end of a request
        assert [answer.status for answer in answers] == [200] * 5


class TestWithinARequest:
    @pytest.fixture(autouse=True)
    def connected(self, on_postgresql: None) -> None:
        assert not Organization.objects.exists()

    def test_a_read_goes_on(self, cut: Cut) -> None:
        cut()
        assert Organization.objects.count() == 0

    def test_a_read_by_a_cursor_of_the_server_goes_on(self, cut: Cut) -> None:
        Organization.objects.create(name="acme")
        cut()
        assert [row.name for row in Organization.objects.iterator(chunk_size=1)] == ["acme"]

    def test_a_write_of_its_own_goes_on(self, cut: Cut) -> None:
        cut()
        Organization.objects.create(name="acme")
        assert Organization.objects.count() == 1

    def test_a_transaction_begins(self, cut: Cut) -> None:
        cut()
        with transaction.atomic():
            Organization.objects.create(name="acme")
        assert Organization.objects.count() == 1

    def test_a_transaction_that_has_written_fails_whole(self, cut: Cut) -> None:
        @transaction.atomic
        def create_two() -> None:
            Organization.objects.create(name="acme")
            cut()
            Organization.objects.create(name="other")

        with pytest.raises(OperationalError):
            create_two()
        assert Organization.objects.count() == 0

    def test_a_session_that_ends_under_a_read_is_replaced(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE IF EXISTS public.once")
            cursor.execute("CREATE SEQUENCE public.once")
            cursor.execute(
                "SELECT CASE WHEN nextval('public.once') = 1 THEN pg_terminate_backend(pg_backend_pid()) END"
            )
            assert cursor.fetchall() == [(None,)]

    @pytest.mark.parametrize("is_prepared", [False, True])
    def test_a_write_under_which_the_session_ends_is_not_repeated(self, is_prepared: bool) -> None:
        Organization.objects.create(name="acme")
        fatal = "UPDATE files_app_organization SET name = pg_terminate_backend(pg_backend_pid())::text"
        with connection.cursor() as cursor:
            execute = cursor.execute
            if is_prepared:
                execute = partial(connection.execute_alone, cursor)  # type: ignore[attr-defined]  # ours
                fatal = (fatal,)
            with pytest.raises(OperationalError):
                execute(fatal, [])
        assert Organization.objects.get().name == "acme"


def test_a_pool_tries_to_connect_as_long_as_there_is_no_server(django_db_blocker: DjangoDbBlocker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tried = threading.Semaphore(0)

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()
                    tried.release()

        threading.Thread(target=refuse, daemon=True).start()
        wrapper = DatabaseWrapper(configured(f"postgres://u@127.0.0.1:{listener.getsockname()[1]}/files"))
        try:
            refusal = pytest.raises(OperationalError, match="server closed the connection unexpectedly")
            with django_db_blocker.unblock(), refusal:
                wrapper.ensure_connection()
            for _ in range(8):  # a psycopg pool of its own accord makes four tries in as many seconds
                assert tried.acquire(timeout=5)
        finally:
            wrapper.close_pool()
            listener.shutdown(socket.SHUT_RDWR)


def test_times_are_those_that_the_server_tells(on_postgresql: None) -> None:
    texts = ["2026-11-26 14:20:20.123456+00", "2026-11-26 14:20:20.1+02", "0001-01-01 00:00:00+00"]
    expected = [datetime.fromisoformat(text) for text in texts]
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, %s::timestamptz, %s::timestamptz, NULL::timestamptz", texts)
        *found, nothing = cursor.fetchone()
    assert found == expected
    assert {time.tzinfo for time in found} == {UTC}
    assert nothing is None


def test_a_time_that_python_does_not_have_is_no_time(on_postgresql: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'infinity'::timestamptz")
        with pytest.raises(DataError):
            cursor.fetchone()
