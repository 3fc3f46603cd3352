"""Exports of lists as CSV or JSON, streamed."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

MAX_ROWS = 100_000
_FORMULA_SIGNS = frozenset("=+-@\u2212")
_CELL_ENDS = frozenset("\t\r\n")

Cell = str | int | bool | None
Row = Mapping[str, Any]


def export(
    rows: QuerySet[Any], name: str, as_row: Callable[[Any], Row], *, kind: str
) -> StreamingHttpResponse:
    """Return the rows as a file, at most MAX_ROWS of them. kind: `jsonl` for JSON lines, else CSV."""
    kind = "jsonl" if kind == "jsonl" else "csv"
    found = (as_row(row) for row in rows[:MAX_ROWS].iterator(chunk_size=1000))
    lines = _json_lines(found) if kind == "jsonl" else _csv_lines(found)
    return StreamingHttpResponse(
        lines,
        content_type="application/x-ndjson" if kind == "jsonl" else "text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{timezone.now():%Y%m%d-%H%M%S}.{kind}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
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
