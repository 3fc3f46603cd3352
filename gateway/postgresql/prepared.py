"""Statements that a session of PostgreSQL's parses once, and plans seldom: it then knows them by their names.

What a session has is known to its connection, and ends with it. It does not depend on transactions: one that
is undone leaves the session what it was given. Where it has not what its connection knows of, because a
pooler that nobody announced shares it or somebody has taken it away, nothing is lost: it gets the text.

A plan that was made while a table was small reads the whole of it, and PostgreSQL keeps it until the table is
analyzed: in the first minutes of an installation, or without autovacuum, that would be ten thousands of rows.
So the plans are made anew from time to time.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import count
from time import monotonic
from typing import Any, NamedTuple

from django.db import NotSupportedError, ProgrammingError
from django.db.backends.utils import CursorWrapper

from gateway.postgresql.silence import AnsweringConnection

#: For how long a session goes by the same plans.
PLANNED_SECONDS = 10.0


class _Message(NamedTuple):
    """executing: the statements by their names. prepared: what prepares them, by name."""

    executing: str
    prepared: Mapping[str, str]


def execute(cursor: CursorWrapper, statements: tuple[str, ...], values: Sequence[Any]) -> bool:
    """Execute statements in one message by their names, and return whether the session took that.

    Where it did not, nothing was done. Not for use in a transaction, which would have ended. The results of
    the statements are the last ones that the cursor has.
    statements: each SQL with `%s` in the places of its values. A session keeps all that it was ever given:
    they have to be few, and the same for ever.
    """
    connection: AnsweringConnection = cursor.cursor.connection
    if connection.prepared is None:
        return False
    message = _message(statements)
    try:
        if missing := [name for name in message.prepared if name not in connection.prepared]:
            cursor.execute("; ".join(message.prepared[name] for name in missing))
            connection.prepared |= {*missing}
        cursor.execute(_discarding(connection) + message.executing, values)
    except (ProgrammingError, NotSupportedError):
        # A name that the session has not, or has already; columns that are not those of then; types that it
        # cannot tell. What is wrong with the statement itself, its text shows.
        connection.prepared = None
        return False
    return True


def _discarding(connection: AnsweringConnection) -> str:
    """Return what a message has to begin with that runs statements whose plans may be old."""
    now = monotonic()
    if now < connection.plans_until:
        return ""
    connection.plans_until = now + PLANNED_SECONDS
    return "DISCARD PLANS; "


@lru_cache
def _message(statements: tuple[str, ...]) -> _Message:
    names = [f"files_{sha256(sql.encode()).hexdigest()[:16]}" for sql in statements]
    numbered = [_numbered(sql) for sql in statements]
    return _Message(
        executing="; ".join(
            f"EXECUTE {name}({', '.join(['%s'] * places)})" if places else f"EXECUTE {name}"
            for name, (_, places) in zip(names, numbered, strict=True)
        ),
        prepared={name: f"PREPARE {name} AS {sql}" for name, (sql, _) in zip(names, numbered, strict=True)},
    )


def _numbered(sql: str) -> tuple[str, int]:
    """Return the SQL with places as PostgreSQL writes them, and how many there are."""
    numbers = count(1)
    numbered = re.sub("%([%s])", lambda found: "%" if found[1] == "%" else f"${next(numbers)}", sql)
    return numbered, next(numbers) - 1
