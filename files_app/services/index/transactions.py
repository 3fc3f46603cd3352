"""Short transactions around long transfers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

T = TypeVar("T")
M = TypeVar("M", bound=Model)

#: How long the end of an upload waits for a database that is away.
PATIENCE_SECONDS = 30.0

DAMAGED_FIX = "Stop the gateway and put its backup in place: docs/operations/backup.md says how."


def database_time(*, plus_seconds: float) -> Combinable:
    """Return the database's own time plus some seconds: leases must not depend on the clocks of hosts."""
    return Now() + timedelta(seconds=plus_seconds)


def is_damaged(error: Exception) -> bool:
    """Whether SQLite's file is no database any more, or not a whole one."""
    return isinstance(error, DatabaseError) and says_damaged(str(error))


def says_damaged(reason: str) -> bool:
    """Whether SQLite means its file by this."""
    return "file is not a database" in reason or "disk image is malformed" in reason


def release_connection() -> None:
    """Give the thread's connection back, to our pool or to PostgreSQL, before bytes move.

    SQLite's stays: while idle it costs nothing, and opening one does.
    """
    is_lent = connection.settings_dict["CONN_MAX_AGE"] == 0
    if is_lent and not connection.in_atomic_block:
        connection.close()


def persistently(work: Callable[[], T]) -> T:
    """Run a short transaction, again and again while the database is away, for PATIENCE_SECONDS at most.

    `work` has to be safe to repeat after a commit whose answer was lost.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if time.monotonic() + pause > deadline or connection.in_atomic_block:
                raise
            connection.close()
            time.sleep(pause)
            pause = min(2.0, pause * 2)


def in_batches(rows: QuerySet[M], size: int = 200) -> Iterator[list[M]]:
    """Yield all rows by primary key, each batch by a query of its own.

    No cursor stays open, so the work on a batch may take long and may give the connection back. Rows that
    appear meanwhile with a higher key are seen too.
    """
    last: int | None = None
    ordered = rows.order_by("pk")
    while True:
        batch = list((ordered if last is None else ordered.filter(pk__gt=last))[:size])
        if not batch:
            return
        yield batch
        last = batch[-1].pk
