"""Threads that wait for SQLite's turn commit together, and each is told what became of its own work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, connections, transaction
from pytest_django import DjangoDbBlocker

from files_app.services.index import group_commit
from files_app.services.index.group_commit import commit_in_group
from gateway.sqlite3.base import DatabaseWrapper
from gateway.sqlite3.turns import turns_at
from tests.files_app.pooled import other_database
from tests.processes import wait_until


@pytest.fixture
def path(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A database of this test's own, with a table of numbers."""
    file = tmp_path / "own.sqlite3"
    with django_db_blocker.unblock(), other_database(f"sqlite:///{file}?timeout=1"):
        execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
        yield file


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that committed, in order."""
    committed: list[str] = []
    original = DatabaseWrapper._commit

    def commit(self: DatabaseWrapper) -> None:
        original(self)
        committed.append(threading.current_thread().name)

    monkeypatch.setattr(DatabaseWrapper, "_commit", commit)
    return committed


def execute(sql: str) -> list[tuple[int, ...]]:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def insert(number: int) -> int:
    execute(f"INSERT INTO numbers VALUES ({number})")  # noqa: S608
    return number


def numbers() -> list[int]:
    return [number for (number,) in execute("SELECT number FROM numbers ORDER BY number")]


class Writer(threading.Thread):
    """Writes with a connection of its own; `result` is what it was told, `seen` what was there then."""

    def __init__(self, work: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self.result: int | Exception | None = None
        self.seen: list[int] = []
        self._work = work

    def run(self) -> None:
        try:
            self.result = commit_in_group(self._work)
            self.seen = numbers()
        except DatabaseError as error:
            self.result = error
        finally:
            connections.close_all()


def gathered(path: Path, *works: Callable[[], int]) -> list[Writer]:
    """Start writers that wait for one turn, the first of them for all."""
    writers = [Writer(work) for work in works]
    for count, writer in enumerate(writers, start=1):
        writer.start()
        wait_until(
            lambda expected=count: len(group_commit._group._waiting) == expected,
            seconds=10,
            what="a place in the group",
        )
    wait_until(lambda: len(turns_at(str(path))._queue) == 1, seconds=10, what="the leader's place")
    return writers


def ended(writers: list[Writer]) -> list[Writer]:
    for writer in writers:
        writer.join(10)
    return writers


def test_those_who_wait_commit_once(path: Path, commits: list[str]) -> None:
    with transaction.atomic():
        writers = gathered(path, *(lambda number=number: insert(number) for number in range(5)))
        commits.clear()
    assert [writer.result for writer in ended(writers)] == [0, 1, 2, 3, 4]
    assert len(commits) == 2  # the one that was waited for, and the group's
    assert numbers() == [0, 1, 2, 3, 4]
    assert all(writer.result in writer.seen for writer in writers)


def test_what_is_to_be_undone_alone_is_known_only_where_something_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A savepoint for each costs as much as what it does."""
    savepoints: list[str] = []
    original = DatabaseWrapper._savepoint
    monkeypatch.setattr(
        DatabaseWrapper, "_savepoint", lambda self, sid: (savepoints.append(sid), original(self, sid))
    )
    with transaction.atomic():
        writers = gathered(path, *(lambda number=number: insert(number) for number in range(5)))
    assert [writer.result for writer in ended(writers)] == [0, 1, 2, 3, 4]
    assert len(savepoints) == 1


def test_what_fails_fails_alone(path: Path, commits: list[str]) -> None:
    with transaction.atomic():
        insert(2)
        writers = gathered(path, *(lambda number=number: insert(number) for number in range(5)))
    results = [writer.result for writer in ended(writers)]
    assert results[:2] + results[3:] == [0, 1, 3, 4]
    assert isinstance(results[2], IntegrityError)
    assert numbers() == [0, 1, 2, 3, 4]


def test_a_commit_that_fails_is_nobodys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(self: DatabaseWrapper) -> None:
        raise OperationalError("disk I/O error")

    with transaction.atomic():
        writers = gathered(path, *(lambda number=number: insert(number) for number in range(3)))
        original = DatabaseWrapper._commit
        main = connection.connection

        def only_mine(self: DatabaseWrapper) -> None:
            original(self) if self.connection is main else commit(self)

        monkeypatch.setattr(DatabaseWrapper, "_commit", only_mine)
    results = [writer.result for writer in ended(writers)]
    assert [str(result) for result in results] == ["disk I/O error"] * 3
    assert len({id(result) for result in results}) == 3
    assert numbers() == []


def test_a_transaction_that_sqlite_ends_is_nobodys(path: Path) -> None:
    """As a full disk does: what was done before it in the group is gone as well."""

    def end() -> int:
        connection.connection.execute("ROLLBACK")
        raise OperationalError("database or disk is full")

    with transaction.atomic():
        writers = gathered(path, lambda: insert(0), end, lambda: insert(2))
    assert all(isinstance(writer.result, OperationalError) for writer in ended(writers))
    assert numbers() == []


def test_a_turn_that_does_not_come_is_nobodys(path: Path) -> None:
    with transaction.atomic():
        writers = gathered(path, *(lambda number=number: insert(number) for number in range(3)))
        assert all("locked" in str(writer.result) for writer in ended(writers))
    assert numbers() == []
    assert commit_in_group(lambda: insert(7)) == 7


def test_in_a_transaction_it_is_a_part_of_that(path: Path, commits: list[str]) -> None:
    with transaction.atomic():
        assert commit_in_group(lambda: insert(1)) == 1
        assert commits == []
    assert len(commits) == 1
