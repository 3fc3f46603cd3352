"""Checks a batch file line by line while it streams."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from files_app.streams.json_scanner import JSONScanner
from files_app.streams.quick_lines import QuickLines
from providers.batches.json_lines import (
    HEAD_BYTES,
    MAX_REPORTED_LINES,
    MAX_VALUES,
    JSONProblemError,
    LineLimits,
    decoded,
    foreign_format,
)
from providers.objects import BatchLineFormat

#: Up to here a line is held and decoded; a longer one is checked as it comes, and nothing of it is held.
MAX_HELD_BYTES = 1_048_576
_TYPE_NAMES = {str: "a string", dict: "an object", int: "an integer", list: "an array"}
_SPACE = b" \t\r"


class BatchLineChecker:
    """Takes chunks, cuts them into lines and keeps the first problems found, each as `line N: what is wrong`.

    A file may hold lines of one of `formats`; which one, its first good line decides. White space behind the
    last record is no problem, an empty line before it is. Holds MAX_HELD_BYTES of a line at most, and a hash
    of each unique key. records: how many lines were no empty ones.
    """

    def __init__(self, formats: tuple[BatchLineFormat, ...], limits: LineLimits) -> None:
        self.problems: list[str] = []
        self._formats = formats
        self._limits = limits
        self._quick: QuickLines | None = None  # once the first good line has decided the format
        self._head = b""
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._long: _LongLine | None = None  # the line in hand, if it is too long to be held
        self.records = 0
        self._line = 0
        self._last_record = 0
        self._seen: set[int] = set()
        self._is_skipping = False  # the rest of a line that is too long
        self._stopped = False

    @property
    def is_full(self) -> bool:
        """Whether as many problems were found as are reported, so that reading on is no use."""
        return self._stopped or len(self.problems) >= MAX_REPORTED_LINES

    @property
    def format(self) -> str:
        """The name of the format that the file's lines have; what it is before the first good one is open."""
        return self._formats[0].name

    def feed(self, chunk: bytes) -> None:
        """Check the lines that `chunk` completes."""
        if self.is_full:
            return
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        start = 0
        if self._rest_bytes or self._quick is None:
            start = chunk.find(b"\n") + 1
            if start:
                self._keep(chunk[: start - 1])
                self._end_line()
        end = chunk.rfind(b"\n", start) + 1 or start
        if end > start and not self._pass(chunk, start, end):
            for line in BytesIO(chunk[start:end]):
                self._keep(line[:-1])
                self._end_line()
        self._keep(chunk[end:])

    def finish(self) -> None:
        """Check what stands behind the last line end."""
        if not self.is_full and self._rest_bytes:
            self._end_line()
        if not self._last_record and not self.problems:
            self.problems.append("line 1: the file has no records")

    def _pass(self, chunk: bytes, start: int, end: int) -> bool:
        """Count whole lines that are all good beyond doubt, with no empty one before; else return False."""
        if (
            self._quick is None
            or self._line != self._last_record
            or end - start > self._limits.max_line_bytes + 1
        ):
            return False
        passed = self._quick.passed(chunk, start, end, most=self._limits.max_lines - self._line)
        self._line = self._last_record = self._line + passed
        self.records += passed
        return passed > 0

    def _keep(self, piece: bytes) -> None:
        if self._is_skipping or self.is_full:
            return
        self._rest_bytes += len(piece)
        if self._rest_bytes > self._limits.max_line_bytes:
            self._begin_record()
            self._report(f"longer than {self._limits.max_line_bytes:,} bytes")
            self._is_skipping = True
            self._rest, self._long = [], None
        elif self._long is not None:
            self._long.feed(piece)
        elif piece:
            self._rest.append(piece)
            if self._rest_bytes > MAX_HELD_BYTES:
                self._let_go()

    def _let_go(self) -> None:
        """Check the line in hand from now on as it comes."""
        names = frozenset(name for each in self._formats for name in each.required)
        self._long = _LongLine(self._limits, names)
        for piece in self._rest:
            self._long.feed(piece)
        self._rest = []

    def _end_line(self) -> None:
        whole, long, was_reported = b"".join((*self._rest, b"\n")), self._long, self._is_skipping
        self._rest, self._rest_bytes, self._long, self._is_skipping = [], 0, None, False
        if was_reported or self.is_full or (long is None and self._pass(whole, 0, len(whole))):
            return
        line = whole[:-1]
        is_blank = not line.strip(_SPACE) if long is None else long.is_blank
        if is_blank:
            self._line += 1
            return
        self._begin_record()
        if self._line > self._limits.max_lines:
            self._report(f"more than {self._limits.max_lines:,} lines")
            self._stopped = True
            return
        try:
            record = decoded(line, self._limits) if long is None else long.finish()
        except JSONProblemError as exc:
            self._report(str(exc))
        else:
            if problem := self._problem_of_record(record):
                self._report(problem)

    def _begin_record(self) -> None:
        """Count the line in hand, behind which those before it are in the middle of the file."""
        for line in range(self._last_record + 1, self._line + 1):
            if self.is_full:
                return
            self.problems.append(f"line {line}: is empty")
        self._line += 1
        self._last_record = self._line
        self.records += 1

    def _report(self, problem: str) -> None:
        if self.is_full:
            return
        if self._line == 1 and (name := foreign_format(self._head)):
            self._stopped = True
            problem = f"the file is {name}"
        self.problems.append(f"line {self._line}: {problem}")

    def _problem_of_record(self, record: Any) -> str | None:
        if not isinstance(record, dict):
            return "is not a JSON object"
        fitting = next((f for f in self._formats if _mismatch(record, f) is None), None)
        if fitting is None:
            return " or ".join(filter(None, (_mismatch(record, f) for f in self._formats)))
        if self._quick is None:
            self._formats, self._quick = (fitting,), QuickLines(fitting, self._limits, self._seen)
        if fitting.unique is not None:
            key = hash(record[fitting.unique])
            if key in self._seen:
                return f"'{fitting.unique}' was used before: {json.dumps(str(record[fitting.unique])[:64])}"
            self._seen.add(key)
        return None


class _LongLine:
    """A line that is checked as it comes; what is wrong is said at its end."""

    def __init__(self, limits: LineLimits, kept: frozenset[str]) -> None:
        self._scanner = JSONScanner(max_depth=limits.max_depth, max_values=MAX_VALUES, kept=kept)
        self._problem: JSONProblemError | None = None

    @property
    def is_blank(self) -> bool:
        return self._problem is None and self._scanner.is_blank

    def feed(self, piece: bytes) -> None:
        if self._problem is None:
            try:
                self._scanner.feed(piece)
            except JSONProblemError as exc:
                self._problem = exc

    def finish(self) -> Any:
        if self._problem is not None:
            raise self._problem
        return self._scanner.finish()


def _mismatch(record: dict[str, Any], expected: BatchLineFormat) -> str | None:
    for key, kind in expected.required.items():
        if key not in record:
            return f"'{key}' is missing"
        if not isinstance(record[key], kind):
            return f"'{key}' must be {_TYPE_NAMES[kind]}"
    return None
