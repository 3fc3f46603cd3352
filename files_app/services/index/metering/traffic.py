"""Counts requests, files and bytes in this process, and writes them down every USAGE_WRITE_SECONDS.

No request waits for it or asks the database for it. A process that stops writes the rest; one that is killed
loses what it had counted since it wrote last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import date
from multiprocessing.util import Finalize
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import Error, connection, transaction

from files_app.models import AuditEvent, DailyUsage, File
from files_app.observability.context import Use
from files_app.services.index.callers import Caller
from files_app.services.index.metering.names import Names
from files_app.services.index.rounds import Rounds

log = structlog.get_logger(__name__)

_DAY_SECONDS = 86_400
_FIRST_DAY = date(1970, 1, 1).toordinal()
_ROWS_AT_ONCE = 200
_KEY = ("day", "organization_id", "key_id", "account_id", "purpose")
_NAMES = ("organization_name", "key_name", "account_name")
_NUMBERS = ("requests", "files", "bytes_in", "bytes_out")


class Line(NamedTuple):
    """Whose row of which day: `day` counts from 1970."""

    day: int
    organization_id: int
    key_id: int
    account_id: int
    purpose: str


class Amounts(NamedTuple):
    """What is added to a row."""

    requests: int = 0
    files: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def plus(self, more: Amounts) -> Amounts:
        """Return the sum."""
        return Amounts(
            self.requests + more.requests,
            self.files + more.files,
            self.bytes_in + more.bytes_in,
            self.bytes_out + more.bytes_out,
        )


def count_request(use: Use) -> None:
    """Count an answered request of a good key."""
    _meter.add(_line(use.organization_id, use.api_key_id, use.account_id, use.purpose), Amounts(requests=1))


def count_upload(caller: Caller, file: File, *, is_new: bool) -> None:
    """Count what an upload stored, but for what the gateway stores for itself.

    is_new: False where the provider had the bytes already as that file.
    """
    if caller.actor_type == AuditEvent.Actor.SYSTEM:
        return
    line = _line(caller.organization_id, caller.api_key_id, file.account_id, file.purpose)
    _meter.add(line, Amounts(files=int(is_new), bytes_in=file.bytes))


def counted(chunks: Iterator[bytes], caller: Caller, file: File) -> Iterator[bytes]:
    """Pass on a file's content and count it while it goes; what the gateway reads for itself is free."""
    if caller.actor_type == AuditEvent.Actor.SYSTEM:
        yield from chunks
        return
    whose = (caller.organization_id, caller.api_key_id, file.account_id, file.purpose)
    for chunk in chunks:
        _meter.add(_line(*whose), Amounts(bytes_out=len(chunk)))
        yield chunk


def write() -> None:
    """Write down now what this process has counted. Raises django.db.Error, and counts it again then."""
    _meter.write()


def forget_counts() -> None:
    """Begin anew."""
    _meter.forget()


def _line(organization_id: int, key_id: int | None, account_id: int, purpose: str) -> Line:
    return Line(int(time.time()) // _DAY_SECONDS, organization_id, key_id or 0, account_id, purpose[:64])


class _Meter:
    """The counts of this process, and the thread that writes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: dict[Line, Amounts] = {}
        self._rounds = Rounds(
            "usage", self.write, seconds=lambda: settings.USAGE_WRITE_SECONDS, failure="usage_not_written"
        )

    def add(self, line: Line, amounts: Amounts) -> None:
        with self._lock:
            known = self._counts.get(line)
            self._counts[line] = amounts if known is None else known.plus(amounts)
        if self._rounds.begin():
            # Runs at the end of whatever process: one that was forked to serve runs nothing of `atexit`.
            Finalize(None, self._write_last, exitpriority=100)

    def write(self) -> None:
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, {}
            try:
                if counts:
                    _write(counts)
            except BaseException:
                for line, amounts in counts.items():
                    self.add(line, amounts)
                raise

    def forget(self) -> None:
        with self._lock:
            self._counts.clear()

    def _write_last(self) -> None:
        try:
            self.write()
        except Error as exc:
            log.warning("usage_lost", error=type(exc).__name__, rows=len(self._counts))


def _write(counts: Mapping[Line, Amounts]) -> None:
    """Add to the rows, in their order: processes that write at once wait, and never for each other."""
    lines = sorted(counts)
    names = Names([line[1:4] for line in lines])
    with transaction.atomic():
        for start in range(0, len(lines), _ROWS_AT_ONCE):
            some = lines[start : start + _ROWS_AT_ONCE]
            _add([(*_with_date(line), *names.of(*line[1:4]), *counts[line]) for line in some])


def _with_date(line: Line) -> tuple[date | int | str, ...]:
    return (date.fromordinal(_FIRST_DAY + line.day), *line[1:])


def _add(rows: list[tuple[date | int | str, ...]]) -> None:
    table, columns = connection.ops.quote_name(DailyUsage._meta.db_table), (*_KEY, *_NAMES, *_NUMBERS)
    row = f"({', '.join(['%s'] * len(columns))}, 0, 0)"
    renamed = [f"{name} = COALESCE(NULLIF(excluded.{name}, ''), {table}.{name})" for name in _NAMES]
    more = [f"{name} = {table}.{name} + excluded.{name}" for name in _NUMBERS]
    statement = (
        f"INSERT INTO {table} ({', '.join(columns)}, byte_hours, adopted_byte_hours) "  # noqa: S608 - nothing in it is anybody's word
        f"VALUES {', '.join([row] * len(rows))} "
        f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(renamed + more)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [value for values in rows for value in values])


_meter = _Meter()
