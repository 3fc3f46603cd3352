"""The database backend that `DATABASE_URL=sqlite:///...` names.

SQLite has one writer at a time. By itself it lets the others sleep and look again, up to a tenth of a second
later: under load some never find it free, whoever came first. Here the threads of a process queue, and the
first of them alone looks, often, so that processes share fairly too. The option `timeout` bounds the wait;
SQLite itself is told to wait for nothing, since to tell it so for each transaction would take its time.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from gateway.sqlite3.operations import DatabaseOperations
from gateway.sqlite3.turns import Turns, turns_at

T = TypeVar("T")

#: How often who has the turn looks whether another process has ended its transaction, which takes it about a
#: millisecond where the disk is quick. A look takes some 15 µs.
_LOOK_SECONDS = 0.0005
#: How often readers look whether another process still has the file for itself: they may be many.
_READERS_LOOK_SECONDS = 0.003
_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


@lru_cache(maxsize=128)  # as many as sqlite3 keeps compiled
def _with_question_marks(query: str) -> str:
    """Return a query with SQLite's own marks for parameters."""
    return str(base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%"))


class Cursor(base.SQLiteCursorWrapper):
    """Waits for its turn with a write that is a transaction of its own."""

    database: "DatabaseWrapper"

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        """Return the query as SQLite takes it, without a search through those that come again and again."""
        if param_names is None:
            return _with_question_marks(query)
        return str(super().convert_query(query, param_names=param_names))

    def execute(self, query: str, params: Any = None) -> Any:
        if self.database.is_writing:
            return super().execute(query, params)
        return self._alone(query, lambda: super(Cursor, self).execute(query, params))

    def executemany(self, query: str, param_list: Any) -> Any:
        if self.database.is_writing:
            return super().executemany(query, param_list)
        rows = list(param_list)  # which may be read once only
        return self._alone(query, lambda: super(Cursor, self).executemany(query, rows))

    def _alone(self, query: str, run: Callable[[], T]) -> T:
        """Run what is a transaction of its own."""
        if not _WRITES.match(query):
            return self.database.as_soon_as_free(run)
        with self.database.turn():
            return self.database.as_soon_as_free(run, until=self.database.wait_until)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, whose writers stand in a queue."""

    ops_class = DatabaseOperations
    #: When who holds a turn has waited long enough, in time.monotonic().
    wait_until = 0.0
    _turns: Turns | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is under way, or about to begin."""
        return self._turns is not None or self.connection.in_transaction

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

    def as_soon_as_free(self, run: Callable[[], T], *, until: float | None = None) -> T:
        """Do what another process may be in the way of, when it is not any more.

        until: how long to try, in time.monotonic(); None for the option `timeout` from now.
        """
        while True:
            try:
                return run()
            except (OperationalError, self.Database.OperationalError) as error:
                if until is None:
                    until = time.monotonic() + self._patience
                if "database is locked" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(_READERS_LOOK_SECONDS if self._turns is None else _LOOK_SECONDS)

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            begin = super()._start_transaction_under_autocommit  # type: ignore[misc]  # untyped
            self.as_soon_as_free(begin, until=self.wait_until)
        except BaseException:
            self._give_turn()
            raise

    def _commit(self) -> None:
        self.as_soon_as_free(super()._commit)  # type: ignore[misc]
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
        self.wait_until = time.monotonic() + self._patience
        turns = turns_at(str(self.settings_dict["NAME"]))
        if not turns.take(self._patience):
            raise OperationalError(f"database is locked: {self._patience:g} s were not enough for a turn")
        self._turns = turns

    def _give_turn(self) -> None:
        turns, self._turns = self._turns, None
        if turns:
            turns.give()
