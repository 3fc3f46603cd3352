"""The database backend that `DATABASE_URL=postgres://...` names.

A server that restarts, a failover and a pooler close connections while they wait in our pool. To look whether
the other end has closed one costs no round trip, so no such connection is lent out or written to. One that
ends later, with a statement under way, shows in the error: what changes nothing is then sent again, once.
What is answered by silence ends too (`silence.py`), and is not asked again: the client has waited enough.
"""

import re
import select
from collections.abc import Sequence
from time import monotonic
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.db.utils import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from gateway.postgresql import prepared, silence, timestamps
from gateway.postgresql.pool import PooledConnection, keep_connecting

#: Statements that leave nothing behind when the connection ends under them.
_CHANGES_NOTHING = re.compile(r"[\s(]*(SELECT|BEGIN)\b")


def is_cut(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the other end has closed an idle connection, or is about to.

    An idle connection has nothing to say but its end.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Reconnecting:
    """Mixed into a cursor wrapper, goes on with a fresh connection where nothing is lost with the old one."""

    cursor: Any
    db: "DatabaseWrapper"

    def _execute(self, sql: Any, params: Any, *context: Any) -> Any:
        try:
            return super()._execute(sql, params, *context)  # type: ignore[misc]  # Django's cursor wrapper
        except (OperationalError, InterfaceError) as error:
            is_silent = isinstance(error.__cause__, silence.SilenceError)
            if is_silent or not (_changes_nothing(sql) and self.db.is_free_and_cut()):
                raise
        self._reconnect()
        return super()._execute(sql, params, *context)  # type: ignore[misc]

    def _reconnect(self) -> None:
        name = getattr(self.cursor, "name", None)  # of a server-side cursor
        self.db.close()
        self.db.connect()
        self.cursor = self.db.create_cursor(name)


def _changes_nothing(sql: Any) -> bool:
    return isinstance(sql, str) and _CHANGES_NOTHING.match(sql) is not None


class Cursor(Reconnecting, CursorWrapper):
    """The cursor of every statement."""


class DebugCursor(Reconnecting, CursorDebugWrapper):
    """The same, where Django counts or logs statements."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with three options more.

    silence_seconds: how long a connection waits for a sign of its server
    statement_seconds, lock_seconds: limits that each transaction asks for, behind a pooler; 0 asks for none
    """

    Database = silence.driver  # type: ignore[assignment]  # its names are all that Django uses

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        if pool := settings_dict["OPTIONS"].get("pool"):
            ours = {"connection_class": PooledConnection, "reconnect_failed": keep_connecting}
            settings_dict["OPTIONS"]["pool"] = {**pool, **ours}

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        limits = {name: parameters.pop(f"{name}_seconds", 0) for name in ("statement", "lock")}
        self.limits_of_transactions = tuple(
            f"SET LOCAL {name}_timeout = '{seconds}s'" for name, seconds in limits.items() if seconds
        )
        self._begin = "; ".join(["BEGIN", *self.limits_of_transactions])
        parameters["context"] = timestamps.adapters()
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> "psycopg.Connection[Any]":
        """Return a connection; of the pool's, one that still has another end."""
        began = monotonic()
        try:
            connection: silence.AnsweringConnection = super().get_new_connection(conn_params)
            for _ in range(self.pool.max_size if self.pool else 0):  # as many may have been cut
                if not is_cut(connection):
                    break
                connection.close()
                self.pool.putconn(connection)  # which puts a new one in its place
                connection = super().get_new_connection(conn_params)
        except PoolTimeout as error:
            raise PoolTimeout(PooledConnection.failure or str(error)) from error
        if connection.silence_seconds is not None:
            connection.first_answer_by = began + connection.silence_seconds
        return connection

    def close_if_health_check_failed(self) -> None:
        """Do without a connection that has ended, in front of each statement and transaction."""
        if self.is_free_and_cut():
            self.close()

    def is_free_and_cut(self) -> bool:
        """Return whether the connection has ended, and no transaction with it."""
        return self.connection is not None and self.autocommit and is_cut(self.connection)

    def _set_autocommit(self, autocommit: bool) -> None:
        """Do nothing where it is set, as in the pool: psycopg looks for a transaction first."""
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # untyped

    def _start_transaction_under_autocommit(self) -> None:
        """Send BEGIN by itself, where it can be sent again; psycopg would send it with the first statement.

        Either way it is a round trip of its own. Behind a pooler the limits of time go with it: they have to
        be said in each transaction, which may have another session.
        """
        with self.cursor() as cursor:
            cursor.execute(self._begin)

    def lift_limits(self) -> None:
        """Let the statements of this connection take as long as they need, as those of migrations may.

        Behind a pooler the role's limits stay: the session is another's too.
        """
        self.ensure_connection()
        if self.connection is not None:
            self.connection.silence_seconds = None
        if "options" in self.settings_dict["OPTIONS"]:
            with self.cursor() as cursor:
                cursor.execute("SET statement_timeout = 0")

    def execute_alone(
        self, cursor: CursorWrapper, statements: tuple[str, ...], values: Sequence[Any]
    ) -> None:
        """Execute statements in one message, which is a transaction of its own, by names where that may be.

        Not behind a pooler, which gives the next message another session. There the message asks for its
        limits of time, as each transaction that begins with BEGIN does.
        """
        is_behind_pooler = self.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False)
        if is_behind_pooler or not prepared.execute(cursor, statements, values):
            cursor.execute("; ".join([*self.limits_of_transactions, *statements]), values)

    def make_cursor(self, cursor: Any) -> Cursor:
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> DebugCursor:
        return DebugCursor(cursor, self)
