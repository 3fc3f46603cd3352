"""Exports of lists as CSV or JSON, streamed."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from files_app.admin.requests import caller_of, reach_for
from files_app.models import AuditAction, File
from files_app.services.index import audit, writability
from files_app.services.index.file_objects import file_record

MAX_ROWS = 100_000
#: The parameter of a list's address that says as what its rows are wanted.
EXPORT_FORMAT = "format"
_FORMULA_SIGNS = frozenset("=+-@\u2212")
_CELL_ENDS = frozenset("\t\r\n")


class Exported(NamedTuple):
    """What is exported: the first part of the file's name, and what the audit trail calls it."""

    name: str
    action: AuditAction


FILES = Exported("files", AuditAction.FILE_EXPORT)
AUDIT = Exported("audit", AuditAction.AUDIT_EXPORT)
USAGE = Exported("usage", AuditAction.USAGE_EXPORT)

Cell = str | int | bool | None
Row = Mapping[str, Any]


def export(
    request: HttpRequest,
    rows: QuerySet[Any],
    as_row: Callable[[Any], Row],
    *,
    of: Exported,
    kind: str,
) -> StreamingHttpResponse:
    """Return the rows as a file, at most MAX_ROWS of them. kind: `jsonl` for JSON lines, else CSV.

    The audit trail has who took it, how many rows went out, and which filters of the list's address held.
    """
    found = (as_row(row) for row in rows[:MAX_ROWS].iterator(chunk_size=1000))
    return exported(request, found, of=of, kind=kind)


def exported(
    request: HttpRequest, rows: Iterator[Row], *, of: Exported, kind: str, object_id: str = ""
) -> StreamingHttpResponse:
    """Return rows as a file, as `export` does. object_id: of what they are, in the audit trail."""
    kind = "jsonl" if kind == "jsonl" else "csv"
    return streamed(_Counted(rows, request, of, kind, object_id), name=of.name, kind=kind)


def streamed(rows: Iterable[Row], *, name: str, kind: str) -> StreamingHttpResponse:
    """Return rows as a file, line by line. kind: `jsonl` for JSON lines, else CSV."""
    is_json = kind == "jsonl"
    ending = "jsonl" if is_json else "csv"
    return StreamingHttpResponse(
        _json_lines(rows) if is_json else _csv_lines(rows),
        content_type="application/x-ndjson" if is_json else "text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{timezone.now():%Y%m%d-%H%M%S}.{ending}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def export_action(kind: str, title: str) -> Any:
    """Return the action that answers with the selected files."""

    def respond(model_admin: Any, request: HttpRequest, rows: QuerySet[File]) -> StreamingHttpResponse:
        return export(request, rows.select_related("account__organization"), file_record, of=FILES, kind=kind)

    respond.__name__ = f"export_{kind}"
    respond.short_description = title  # type: ignore[attr-defined]  # how Django marks actions
    respond.allowed_permissions = ["view"]  # type: ignore[attr-defined]
    respond.command = "files list"  # type: ignore[attr-defined]
    return respond


class _Counted:
    """Passes rows on and writes into the audit trail how many were taken, also when the client has left."""

    def __init__(
        self, rows: Iterator[Row], request: HttpRequest, of: Exported, kind: str, object_id: str
    ) -> None:
        self._rows = rows
        self._object_id = object_id
        self._of = of
        self._caller = caller_of(request, reach_for(request).only)
        asked = {name: value[:200] for name, value in request.GET.items() if name != EXPORT_FORMAT}
        self._details: dict[str, Any] = {"format": kind, **({"filters": asked} if asked else {})}

    def __iter__(self) -> Iterator[Row]:
        number, result = 0, "interrupted"
        try:
            for row in self._rows:
                yield row
                number += 1
            result = "ok"
        finally:
            with writability.worth_no_failure("export_not_audited", actor=self._caller.actor, rows=number):
                audit.record(
                    self._caller,
                    self._of.action,
                    object_type="job" if self._object_id else self._of.name,
                    object_id=self._object_id,
                    result=result,
                    rows=number,
                    **self._details,
                )


class _Echo:
    """Gives back what a csv writer writes."""

    def write(self, text: str) -> str:
        return text


def _csv_lines(rows: Iterable[Row]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    for number, row in enumerate(rows):
        if number == 0:
            yield writer.writerow(row)
        yield writer.writerow([harmless(_flat(value)) for value in row.values()])


def _json_lines(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _flat(value: Any) -> Cell:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def harmless(value: Cell) -> Cell:
    """Return a cell that no spreadsheet takes for a formula; whoever named a file did not mean to run one."""
    if isinstance(value, str) and (value[:1] in _CELL_ENDS or _first_sign(value) in _FORMULA_SIGNS):
        return f"'{value}"
    return value


def _first_sign(text: str) -> str:
    """Return the first character that is seen, in its usual width: spreadsheets read a wide `=` as one."""
    seen = next((character for character in text if character.isprintable() and character != " "), "")
    return unicodedata.normalize("NFKC", seen)
