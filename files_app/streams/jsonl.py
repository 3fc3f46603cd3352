"""Checks a batch file line by line while it streams."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from providers.objects import BatchLineFormat

MAX_REPORTED_LINES = 20
#: Empty arrays and objects take forty times their JSON in memory. No request needs so many.
MAX_CONTAINERS = 100_000
_TYPE_NAMES = {str: "a string", dict: "an object", int: "an integer", list: "an array"}


@dataclass(frozen=True, slots=True)
class LineLimits:
    """Bounds of a batch file: bytes of a line, nesting of its JSON, number of lines."""

    max_line_bytes: int = 4_194_304
    max_depth: int = 64
    max_lines: int = 50_000


class BatchLineChecker:
    """Takes chunks, cuts them into lines and keeps the first problems found, each as `line N: what is wrong`.

    A file may hold lines of one of `formats`; which one, its first good line decides. Holds at most one
    line and a hash of each unique key.
    """

    def __init__(self, formats: tuple[BatchLineFormat, ...], limits: LineLimits) -> None:
        self.problems: list[str] = []
        self._formats = formats
        self._limits = limits
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._line = 0
        self._seen: set[int] = set()
        self._is_skipping = False  # the rest of a line that is too long
        self._stopped = False

    @property
    def is_full(self) -> bool:
        """Whether as many problems were found as are reported, so that reading on is no use."""
        return self._stopped or len(self.problems) >= MAX_REPORTED_LINES

    def feed(self, chunk: bytes) -> None:
        """Check the lines that `chunk` completes."""
        if self.is_full:
            return
        head, newline, tail = chunk.partition(b"\n")
        self._keep(head)
        if not newline:
            return
        self._end_line()
        *lines, rest = tail.split(b"\n")
        for line in lines:
            self._check(line)
        self._keep(rest)

    def finish(self) -> None:
        """Check what stands behind the last line end."""
        if not self.is_full and self._rest_bytes:
            self._end_line()
        if not self._line and not self.problems:
            self.problems.append("line 1: the file has no lines")

    def _keep(self, piece: bytes) -> None:
        if self._is_skipping or self.is_full:
            return
        self._rest_bytes += len(piece)
        if piece:
            self._rest.append(piece)
        if self._rest_bytes > self._limits.max_line_bytes:
            self._check(b"".join(self._rest))
            self._rest, self._rest_bytes, self._is_skipping = [], 0, True

    def _end_line(self) -> None:
        line = b"".join(self._rest)
        was_reported, self._is_skipping = self._is_skipping, False
        self._rest, self._rest_bytes = [], 0
        if not was_reported:
            self._check(line)

    def _check(self, line: bytes) -> None:
        if self.is_full:
            return
        self._line += 1
        if self._line > self._limits.max_lines:
            self._report(f"more than {self._limits.max_lines:,} lines")
            self._stopped = True
            return
        if len(line) > self._limits.max_line_bytes:
            self._report(f"longer than {self._limits.max_line_bytes:,} bytes")
            return
        problem = self._problem_of(line)
        if problem:
            self._report(problem)

    def _report(self, problem: str) -> None:
        if len(self.problems) < MAX_REPORTED_LINES:
            self.problems.append(f"line {self._line}: {problem}")

    def _problem_of(self, line: bytes) -> str | None:
        if not line.strip():
            return "is empty"
        if _has_many_containers(line):
            return f"holds more than {MAX_CONTAINERS:,} arrays and objects"
        try:
            record = _JSON.decode(line.decode())
        except UnicodeDecodeError as exc:
            return f"is not UTF-8 (byte {exc.start + 1})"
        except RecursionError:
            return f"nested deeper than {self._limits.max_depth} levels"
        except json.JSONDecodeError as exc:
            if line.startswith(codecs.BOM_UTF8):
                return "begins with a byte order mark, which JSON must not have"
            return f"is not JSON: {exc.msg} (column {exc.colno})"
        except _ConstantError as exc:
            return f"is not JSON: {exc}"
        except ValueError:
            return "holds a number that is too long"
        if not isinstance(record, dict):
            return "is not a JSON object"
        if _opened(line) > self._limits.max_depth and not _is_shallow(record, self._limits.max_depth):
            return f"nested deeper than {self._limits.max_depth} levels"
        return self._problem_of_record(record)

    def _problem_of_record(self, record: dict[str, Any]) -> str | None:
        fitting = next((f for f in self._formats if _mismatch(record, f) is None), None)
        if fitting is None:
            return " or ".join(filter(None, (_mismatch(record, f) for f in self._formats)))
        self._formats = (fitting,)
        if fitting.unique is not None:
            key = hash(record[fitting.unique])
            if key in self._seen:
                return f"'{fitting.unique}' was used before: {json.dumps(str(record[fitting.unique])[:64])}"
            self._seen.add(key)
        return None


class _ConstantError(ValueError):
    """NaN or Infinity, which Python's decoder takes and JSON has not."""


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def _has_many_containers(line: bytes) -> bool:
    """Whether a line would make too many lists and dicts; brackets in strings are none."""
    opened = _opened(line)
    return (
        opened > MAX_CONTAINERS
        and opened - sum(_opened(string[0]) for string in _STRING.finditer(line)) > MAX_CONTAINERS
    )


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _mismatch(record: dict[str, Any], expected: BatchLineFormat) -> str | None:
    for key, kind in expected.required.items():
        if key not in record:
            return f"'{key}' is missing"
        if not isinstance(record[key], kind):
            return f"'{key}' must be {_TYPE_NAMES[kind]}"
    return None


def _is_shallow(value: Any, levels: int) -> bool:
    """Whether nothing in `value` is nested deeper than `levels`; walks level by level, without recursion."""
    layer = [value]
    for _ in range(levels):
        layer = [child for parent in layer for child in _containers(parent)]
        if not layer:
            return True
    return False


def _containers(value: Any) -> Iterator[Any]:
    children = value.values() if isinstance(value, dict) else value
    return (child for child in children if isinstance(child, dict | list))
