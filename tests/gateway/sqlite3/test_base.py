"""Writers of SQLite get their turn in order, and none waits longer than it may."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connections, transaction
from pytest_django import DjangoDbBlocker

from gateway.connections import database
from gateway.sqlite3.base import DatabaseWrapper
from gateway.sqlite3.turns import turns_at
from tests.files_app.pooled import other_database
from tests.processes import wait_until

TIMEOUT_SECONDS = 1


@pytest.fixture
def path(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A database of this test's own, with a table of numbers."""
    file = tmp_path / "own.sqlite3"
    with django_db_blocker.unblock(), other_database(f"sqlite:///{file}?timeout={TIMEOUT_SECONDS}"):
        execute("CREATE TABLE numbers (place INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER)")
        yield file


def execute(sql: str) -> list[tuple[object, ...]]:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def write_in_transaction(number: int) -> None:
    with transaction.atomic():
        execute(f"INSERT INTO numbers (number) VALUES ({number})")  # noqa: S608


def write_alone(number: int) -> None:
    execute(f"INSERT INTO numbers (number) VALUES ({number}) RETURNING number")  # noqa: S608


WRITE = pytest.mark.parametrize("write", [write_in_transaction, write_alone])


class Writer(threading.Thread):
    """Writes or reads a number with a connection of its own; `error` says why not."""

    def __init__(self, write: Callable[[int], None], number: int) -> None:
        super().__init__(daemon=True)
        self.error: OperationalError | None = None
        self._write, self._number = write, number

    def run(self) -> None:
        try:
            self._write(self._number)
        except OperationalError as error:
            self.error = error
        finally:
            connections.close_all()


def queued(path: Path) -> int:
    return len(turns_at(str(path))._queue)


@WRITE
def test_they_write_in_the_order_in_which_they_came(path: Path, write: Callable[[int], None]) -> None:
    writers = [Writer(write, number) for number in range(12)]
    with transaction.atomic():
        for place, writer in enumerate(writers):
            writer.start()
            wait_until(
                lambda expected=place + 1: queued(path) == expected, seconds=10, what="a place in the queue"
            )
    for writer in writers:
        writer.join(30)
    assert [writer.error for writer in writers] == [None] * 12
    assert [number for (number,) in execute("SELECT number FROM numbers ORDER BY place")] == list(range(12))


@WRITE
@pytest.mark.parametrize("whose", ["a thread of ours", "another process"])
def test_a_wait_is_bounded_and_leaves_no_place_taken(
    path: Path, write: Callable[[int], None], whose: str
) -> None:
    writers = [Writer(write, number) for number in range(4)]
    if whose == "another process":
        held = sqlite3.connect(path, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        refused(writers)
        held.execute("COMMIT")
        held.close()
    else:
        with transaction.atomic():
            refused(writers)
    assert queued(path) == 0
    write(99)
    assert execute("SELECT number FROM numbers") == [(99,)]


def refused(writers: list[Writer]) -> None:
    began = time.monotonic()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert "database is locked" in str(writer.error)
    assert time.monotonic() - began < 10 * TIMEOUT_SECONDS


def test_a_write_waits_for_another_process(path: Path) -> None:
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    held.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, held.execute, ["COMMIT"])
    release.start()
    write_in_transaction(1)
    release.join()
    held.close()
    assert execute("SELECT number FROM numbers") == [(1,)]


@pytest.mark.parametrize("lasts", [0.2, 60])
def test_a_read_waits_for_a_process_that_has_the_file_for_itself(path: Path, lasts: float) -> None:
    """As one does that mends it after a crash."""
    connections.close_all()
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("INSERT INTO numbers (number) VALUES (1)")
    release = threading.Timer(lasts, held.close)
    release.start()
    reader = Writer(read, 1)
    reader.start()
    reader.join(30)
    assert ("database is locked" in str(reader.error)) == (lasts > TIMEOUT_SECONDS)
    release.cancel()
    held.close()


def read(number: int) -> None:
    assert execute("SELECT number FROM numbers") == [(number,)]


@pytest.mark.parametrize("leave", ["rollback", "close"])
def test_a_transaction_that_ends_otherwise_gives_its_turn(path: Path, leave: str) -> None:
    class LeaveError(Exception):
        pass

    def fail() -> None:
        with transaction.atomic():
            execute("INSERT INTO numbers (number) VALUES (1)")
            raise LeaveError

    if leave == "rollback":
        with pytest.raises(LeaveError):
            fail()
    else:
        wrapper = DatabaseWrapper(
            connections.configure_settings({"default": database(f"sqlite:///{path}")})["default"]
        )
        wrapper.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        wrapper.close()
    writer = Writer(write_in_transaction, 2)
    writer.start()
    writer.join(30)
    assert writer.error is None
    assert execute("SELECT number FROM numbers") == [(2,)]
