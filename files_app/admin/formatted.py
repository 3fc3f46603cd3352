"""The beginning of a file as people read it: JSON with its structure, separated values as a table.

Nothing here judges a file: what stands in it is shown as it stands, and stays text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},:]|[^\s\[\]{},:"]+(?: +[^\s\[\]{},:"]+)*', re.DOTALL)
_INDENT: Final = "  "
#: Deeper than that, lines begin alike: a hostile file would be mostly indent.
_DEEPEST: Final = 24
#: So many lines of a text are shown.
MAX_LINES: Final = 2_000
_MAX_ROWS, _MAX_COLUMNS, _MAX_CELL = 100, 40, 200


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells. is_cut: whether there are more rows or columns, or longer cells, than are shown."""

    head: list[str]
    rows: list[list[str]]
    is_cut: bool


def formatted_json(text: str) -> list[str]:
    """Return the lines of a JSON document, indented; literals stand as they were written.

    Works on a beginning of one, too, and on what is no JSON after all.
    """
    lines, line, depth = [], "", 0
    pieces = _PIECE.findall(text)
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece in "]}" and line.strip() not in {"[", "{"} and not line.rstrip().endswith(("[", "{")):
            lines.append(line)
            line = ""
        if piece in "]}":
            depth = max(0, depth - 1)
        line = (line or _INDENT * min(depth, _DEEPEST)) + piece + (" " if piece == ":" else "")
        if piece in "[{":
            depth += 1
        opens = piece in "[{" and following not in ("]", "}")
        if piece == "," or opens:
            lines.append(line)
            line = ""
    return [each for each in (*lines, line) if each][:MAX_LINES]


def table_of(text: str, *, extension: str, is_cut: bool) -> Table | None:
    """Return separated values as a table; None for what makes none.

    is_cut: whether `text` is only the beginning, so that its last row may be half of one.
    """
    separator = "\t" if extension == ".tsv" else max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(islice(_rows(text, separator), _MAX_ROWS + 2))
    except csv.Error:
        return None
    if is_cut and len(rows) > 1:
        rows.pop()
    if not rows or len(rows[0]) < 2:
        return None
    shown = [[cell[:_MAX_CELL] for cell in row[:_MAX_COLUMNS]] for row in rows[: _MAX_ROWS + 1]]
    return Table(shown[0], shown[1:], is_cut or shown != rows)


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(text.splitlines(keepends=True), delimiter=separator) if row)
