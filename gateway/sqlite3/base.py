"""The database backend that `DATABASE_URL=sqlite:///...` names.

SQLite has one writer at a time. By itself it lets the others sleep and look again, up to a tenth of a second
later: under load some never find it free, whoever came first. Here the threads of a process queue, and the
first of them alone looks, often, so that processes share fairly too. The option `timeout` bounds the wait.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from gateway.sqlite3.turns import Turns, turns_at

T = TypeVar("T")

#: How often the first in the queue looks whether another process has ended its transaction.
_LOOK_SECONDS = 0.003
_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


class Cursor(base.SQLiteCursorWrapper):
    """Waits for its turn with a write that is a transaction of its own."""

    database: "DatabaseWrapper"

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        """Return the statement with SQLite's own placeholders; most are asked for again and again."""
        return super().convert_query(query, param_names=param_names) if param_names else _converted(query)

    def execute(self, query: str, params: Any = None) -> Any:
        if self.connection.in_transaction or not _WRITES.match(query):
            return super().execute(query, params)
        with self.database.turn():
            return self.database.as_soon_as_free(lambda: super(Cursor, self).execute(query, params))

    def executemany(self, query: str, param_list: Any) -> Any:
        if self.connection.in_transaction or not _WRITES.match(query):
            return super().executemany(query, param_list)
        rows = list(param_list)  # which may be read once only
        with self.database.turn():
            return self.database.as_soon_as_free(lambda: super(Cursor, self).executemany(query, rows))


@lru_cache(maxsize=1024)
def _converted(query: str) -> str:
    return str(base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%"))


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, whose writers stand in a queue."""

    _turns: Turns | None = None
    _wait_until = 0.0  # time.monotonic()

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.database = self
        return cursor

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold this thread's turn. Raises OperationalError when it does not come in time."""
        self._take_turn()
        try:
            yield
        finally:
            self._give_turn()

    def as_soon_as_free(self, write: Callable[[], T]) -> T:
        """Do what begins a transaction, when no other process is in one."""
        execute = self.connection.execute
        execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    return write()
                except (OperationalError, self.Database.OperationalError) as error:
                    if "database is locked" not in str(error) or time.monotonic() > self._wait_until:
                        raise
                time.sleep(_LOOK_SECONDS)
        finally:
            execute(f"PRAGMA busy_timeout = {round(self._patience * 1000)}")

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            self.as_soon_as_free(super()._start_transaction_under_autocommit)  # type: ignore[misc]  # untyped
        except BaseException:
            self._give_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._give_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._give_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._give_turn()

    @property
    def _patience(self) -> float:
        return float(self.settings_dict["OPTIONS"].get("timeout", 5.0))

    def _take_turn(self) -> None:
        self._wait_until = time.monotonic() + self._patience
        turns = turns_at(str(self.settings_dict["NAME"]))
        if not turns.take(self._patience):
            raise OperationalError(f"database is locked: {self._patience:g} s were not enough for a turn")
        self._turns = turns

    def _give_turn(self) -> None:
        turns, self._turns = self._turns, None
        if turns:
            turns.give()
