"""The bounded checks behind `/readyz`."""

import threading
import time
from pathlib import Path

import pytest
from celery import current_app
from django.db import connection
from kombu import Connection

from files_app.services.operations import health
from files_app.services.operations.health import BoundedCheck
from gateway.connections import broker_transport_options
from tests.processes import wait_until
from tests.servers import Redis


def fail() -> None:
    raise ConnectionError("password=hunter2")


def outcome(check: BoundedCheck, *, seconds: float = 1) -> str:
    check.start()
    return check.failure(seconds)


def test_a_check_passes_fails_and_recovers() -> None:
    checks = iter([lambda: None, fail, lambda: None])
    check = BoundedCheck(lambda: next(checks)())
    assert [outcome(check) for _ in range(3)] == ["", "ConnectionError", ""]


def test_a_check_that_hangs_is_waited_for_and_not_started_again() -> None:
    release, calls = threading.Event(), []

    def hang() -> None:
        calls.append(1)
        release.wait(10)

    check = BoundedCheck(hang)
    started = time.monotonic()
    assert outcome(check, seconds=0.1).startswith("no answer within")
    assert outcome(check, seconds=0.1).startswith("no answer within")
    assert time.monotonic() - started < 2
    assert len(calls) == 1
    release.set()
    wait_until(lambda: outcome(check) == "", seconds=5, what="recovery")


def test_nobody_joins_a_check_that_is_about_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another client asks in the moment before the new check's thread runs."""
    check = BoundedCheck(lambda: None)
    assert outcome(check) == ""
    answers = []

    class Beginning(threading.Thread):
        def start(self) -> None:
            answers.append(check.failure(1))
            super().start()

    monkeypatch.setattr(threading, "Thread", Beginning)
    assert outcome(check) == ""
    assert answers == [""]


@pytest.mark.django_db(transaction=True)
def test_a_missing_migration_is_not_ready() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'sessions'")
        (name,) = cursor.fetchone()
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    check = health.MigrationCheck()
    try:
        with pytest.raises(health.MigrationsError):
            check()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, CURRENT_TIMESTAMP)",
                ["sessions", name],
            )
    check()


def test_a_frozen_broker_fails_within_the_bound(
    redis_server: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = broker_transport_options(redis_server.url, tmp_path)
    broker = Connection(redis_server.url, connect_timeout=1, transport_options=options)
    monkeypatch.setattr(current_app, "connection_for_write", broker.clone)
    check = BoundedCheck(health.check_broker)
    assert outcome(check) == ""
    redis_server.process.freeze()
    started = time.monotonic()
    assert outcome(check) != ""
    assert time.monotonic() - started < 1.5
    redis_server.process.thaw()
    wait_until(lambda: outcome(check) == "", seconds=5, what="recovery")
