"""What a database says that can be read and not be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.db import DatabaseError

log = structlog.get_logger(__name__)

_DISK_FULL = "53100"
_READ_ONLY_TRANSACTION = "25006"  # a standby, before or after a failover


def is_full(error: BaseException) -> bool:
    """Whether the database's disk has no room: by PostgreSQL's code, or SQLite's words."""
    return _sqlstate(error) == _DISK_FULL or "disk is full" in str(error)


def is_read_only(error: BaseException) -> bool:
    """Whether the database takes no writes at all, or could not put one on its disk."""
    words = str(error)
    return _sqlstate(error) == _READ_ONLY_TRANSACTION or any(
        said in words for said in ("readonly database", "disk I/O error", "unable to open database file")
    )


@contextmanager
def worth_no_failure(event: str, **fields: Any) -> Iterator[None]:
    """Let a read go on whose note the database cannot take; the log has it instead, as this event."""
    try:
        yield
    except DatabaseError as error:
        if not (is_full(error) or is_read_only(error)):
            raise
        log.warning(event, error=str(error)[:200], **fields)


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)
