"""Limits of time: requests have theirs, and the rest has longer ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from pytest_django import DjangoDbBlocker

from gateway.connections import database, serve_requests
from tests.files_app.pooled import other_database
from tests.servers import PostgreSQL


def shown(limit: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {limit}")
        return str(cursor.fetchone()[0])


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options of a database at `DATABASE_URL`, which a test puts in place by `configure`."""
    chosen: dict[str, Any] = {}
    monkeypatch.setitem(connections.settings, "default", chosen)
    return chosen


def configure(chosen: dict[str, Any], url: str, *, behind_pooler: bool = False) -> dict[str, Any]:
    chosen.update(
        connections.configure_settings({"default": database(url, behind_pooler=behind_pooler)})["default"]
    )
    serve_requests()
    limits: dict[str, Any] = chosen["OPTIONS"]
    return limits


def test_a_limit_that_the_url_names_stays(options: dict[str, Any]) -> None:
    limits = configure(options, "postgres://u@h/db?options=-c%20statement_timeout%3D20s")
    assert limits["options"] == "-c statement_timeout=20s"
    limits = configure(options, "sqlite:////tmp/files.sqlite3?timeout=3")
    assert limits["timeout"] == 3


@pytest.fixture(scope="module")
def url(postgresql: PostgreSQL) -> str:
    return postgresql.create_database("limits")


@pytest.fixture(params=["true", "false"], ids=["pool", "no pool"])
def reached(url: str, request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), other_database(f"{url}?pool={request.param}"):
        yield


def test_background_work_has_longer_limits_than_requests(reached: None) -> None:
    assert shown("statement_timeout") == "1min"


def test_requests_have_limits_of_their_own(
    url: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock(), other_database(url):
        serve_requests()
        assert shown("statement_timeout") == "8s"


def test_behind_a_pooler_each_transaction_asks_for_them(url: str, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), other_database(url, behind_pooler=True):
        assert shown("statement_timeout") == "0"
        serve_requests()
        connection.close()
        with transaction.atomic():
            assert (shown("statement_timeout"), shown("lock_timeout")) == ("8s", "5s")
        assert shown("statement_timeout") == "0"  # the session goes to others


def test_a_migration_takes_the_time_it_needs(reached: None) -> None:
    call_command("migrate", "contenttypes", verbosity=0)
    assert shown("statement_timeout") == "0"


def test_a_silent_session_ends_and_another_takes_its_place(reached: None) -> None:
    connection.settings_dict["OPTIONS"]["silence_seconds"] = 0.5
    with (
        connection.cursor() as cursor,
        pytest.raises(OperationalError, match=r"did not answer within 0.5 s"),
    ):
        cursor.execute("SELECT pg_sleep(20)")
    assert shown("statement_timeout") == "1min"


def test_what_was_answered_by_silence_is_not_asked_again(reached: None) -> None:
    connection.settings_dict["OPTIONS"]["silence_seconds"] = 0.5
    asked = f"public.asked_{secrets.token_hex(4)}"  # the server goes on with it, and keeps it locked
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SEQUENCE {asked}")
        with pytest.raises(OperationalError):
            cursor.execute(f"SELECT nextval('{asked}'), pg_sleep(20)")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value, is_called FROM {asked}")  # noqa: S608
        assert cursor.fetchone() == (1, True)


def test_a_transaction_that_met_silence_leaves_nothing(reached: None) -> None:
    connection.settings_dict["OPTIONS"]["silence_seconds"] = 0.5
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS public.written (n int)")

    @transaction.atomic
    def write_and_wait() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO public.written VALUES (1)")
            cursor.execute("SELECT pg_sleep(20)")

    with pytest.raises(OperationalError):
        write_and_wait()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.written")
        assert cursor.fetchone() == (0,)
