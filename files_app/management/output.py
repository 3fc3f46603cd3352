"""What commands print: tables and JSON on standard output, progress on a terminal's standard error.

Names come from clients and messages from providers: nothing of them may steer the terminal.
"""

from __future__ import annotations

import json
import shutil
import time
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, islice
from types import TracebackType
from typing import Any, Protocol, Self

from files_app.words import short_bytes

_MEASURED_ROWS = 200
_MAX_CELL_WIDTH = 60
_REDRAW_SECONDS = 0.1
_BAR_WIDTH = 24
_NOTHING = "-"


class Stream(Protocol):
    """What Django's `OutputWrapper` offers."""

    def write(self, msg: str = "", *, ending: str | None = None) -> Any:
        """Write a line."""

    def flush(self) -> Any:
        """Send what is buffered."""

    def isatty(self) -> bool:
        """Whether a person is looking."""


def printable(text: str) -> str:
    """Return the text with everything escaped that could move the cursor or reorder what stands around it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(value: object) -> str:
    """Return a value as a table shows it."""
    match value:
        case None | "":
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return ", ".join(shown(item) for item in value) or _NOTHING
        case _:
            return printable(str(value))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def write_table(out: Stream, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write aligned columns and return the number of rows; widths follow the first two hundred of them."""
    cells = ([_clipped(shown(value)) for value in row] for row in rows)
    measured = list(islice(cells, _MEASURED_ROWS))
    widths = [max(map(_width, column)) for column in zip(headers, *measured, strict=True)]
    out.write(_line(headers, widths))
    number = 0
    for row in chain(measured, cells):
        out.write(_line(row, widths))
        number += 1
    return number


def write_facts(out: Stream, facts: Iterable[tuple[str, object]]) -> None:
    """Write names and values, one pair a line."""
    pairs = [(name, shown(value)) for name, value in facts]
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        out.write(f"{name:{width}}  {value}")


def write_json(out: Stream, value: object) -> None:
    """Write one JSON document, in ASCII."""
    out.write(json.dumps(value, indent=2, default=_json_value))


def write_json_list(out: Stream, values: Iterable[object]) -> int:
    """Write a JSON array with one element a line, without holding it, and return its length."""
    number = 0
    for number, value in enumerate(values, 1):
        out.write(("[" if number == 1 else ",\n ") + json.dumps(value, default=_json_value), ending="")
    out.write("]" if number else "[]")
    return number


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    ).rstrip()


def _width(text: str) -> int:
    """Return how many columns a terminal gives to the text."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_CELL_WIDTH else text[: _MAX_CELL_WIDTH - 1] + "…"


class Progress:
    """One line that is drawn again and again on a terminal, and nothing at all elsewhere.

    total: None when nobody knows how much there is. in_bytes: amounts are shown as sizes.
    """

    def __init__(self, out: Stream, label: str, total: int | None = None, *, in_bytes: bool = False) -> None:
        self._out = out
        self._label = printable(label)
        self._total = total
        self._in_bytes = in_bytes
        self._is_shown = out.isatty()
        self._done = 0
        self._started = time.monotonic()
        self._draw_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def advance(self, amount: int = 1) -> None:
        """Note that some more is done."""
        self.set(self._done + amount)

    def set(self, done: int) -> None:
        """Note how much is done."""
        self._done = done
        if self._is_shown and time.monotonic() >= self._draw_at:
            self._draw_at = time.monotonic() + _REDRAW_SECONDS
            width = shutil.get_terminal_size().columns - 1
            self._out.write("\r\033[K" + self._text()[:width], ending="")
            self._out.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._is_shown and self._draw_at:
            self._draw_at = 0.0
            self._out.write("\r\033[K", ending="")
            self._out.flush()

    def _text(self) -> str:
        words = [self._label]
        if self._total:
            share = min(1.0, self._done / self._total)
            words.append(f"[{'#' * round(_BAR_WIDTH * share):{_BAR_WIDTH}}] {share:4.0%}")
        words.append(self._amount())
        return "  ".join(words)

    def _amount(self) -> str:
        if not self._in_bytes:
            return f"{self._done} of {self._total}" if self._total else str(self._done)
        rate = self._done / max(time.monotonic() - self._started, 0.001)
        return f"{short_bytes(self._done)}  {short_bytes(round(rate))}/s"
