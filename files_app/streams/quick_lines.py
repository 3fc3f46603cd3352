"""Passes good batch lines at a fraction of what decoding them costs; others are left to the full check."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

import simdjson

from providers.batches.json_lines import MAX_VALUES, LineLimits, opened
from providers.objects import BatchLineFormat

#: simdjson refuses arrays and objects that are nested deeper; an empty one is not counted.
_PARSED_DEPTH: Final = 1_024
#: What simdjson returns of arrays and objects, without building them.
_UNBUILT: Final[dict[type, type]] = {dict: simdjson.Object, list: simdjson.Array}
#: In a block of more lines, looking for each array and object costs more than parsing it once more.
_FEW_LINES: Final = 16
#: With more strings and escapes than so many in its beginning, parsing a block once more costs more than the
#: way into as many arrays as its lines are put in.
_SAMPLED_BYTES: Final = 2_048
_FEW_MARKS: Final = 80
_FEW_VALUES: Final = 16
_ENDS: Final = b"0"


class QuickLines:
    """Passes blocks of lines that are good; one that it does not pass may be good too.

    It passes no line that `decoded` or the format refuses. A block is parsed as one array, with a secret
    between the lines: where the secret is every other value, each line is one. simdjson takes what Python's
    decoder does not in two cases, which are looked for apart: what is nested deep, and required names that
    stand twice, of which it reads the first. What Python's takes and simdjson does not, whole numbers of more
    than 64 bits for one, is not passed.

    seen: hashes of the unique keys of all lines so far; those of lines that pass are added.
    """

    def __init__(self, expected: BatchLineFormat, limits: LineLimits, seen: set[int]) -> None:
        self._seen = seen
        self._parse: Callable[[bytes | memoryview], Any] = simdjson.Parser().parse
        self._secret = secrets.token_hex(8)
        self._between = f',"{self._secret}",'.encode()
        self._max_depth = limits.max_depth
        self._unused_depth = max(1, _PARSED_DEPTH - limits.max_depth)
        self._inside = "/0" * (self._unused_depth - 1)
        self._kinds = {name.encode(): _UNBUILT.get(kind, kind) for name, kind in expected.required.items()}
        self._unique = None if expected.unique is None else expected.unique.encode()

    def passed(self, chunk: bytes, start: int, end: int, *, most: int) -> int:
        """Return how many lines stand there, if all are good beyond doubt and their keys new; else 0.

        most: lines that may pass. The last ends with the block.
        """
        if _may_have_many_values(chunk, start, end):
            return 0
        depth, size = self._unused_depth, end - start
        block = (b"[" * depth, memoryview(chunk)[start:end], _ENDS, b"]" * depth)
        text = b"".join(block).replace(b"\n", self._between)
        longer = len(text) - 2 * depth - len(_ENDS) - size
        lines = longer // (len(self._between) - 1)
        if lines > most or longer > size:
            return 0
        try:
            inner = memoryview(text)[depth - 1 : len(text) - depth + 1]
            if lines <= _FEW_LINES and _are_few(chunk, b"{[", self._max_depth, start, end):
                values = self._parse(inner)
            elif _are_slow_to_parse(chunk, start):
                values = self._parse(text).at_pointer(self._inside)
            else:
                self._parse(text)  # fails, as above, where a line uses more than the depth that is left
                values = self._parse(inner)
            return lines if self._are_good(list(values), lines) else 0
        except (ValueError, LookupError, TypeError, RuntimeError):
            return 0

    def _are_good(self, values: list[Any], lines: int) -> bool:
        records = values[:-1:2]
        if len(records) != lines or values[1::2] != [self._secret] * lines:
            return False
        for name, kind in self._kinds.items():
            if {type(record[name]) for record in records} != {kind}:
                return False
        if {*map(len, records)} != {len(self._kinds)} and any(map(self._names_twice, records)):
            return False
        if self._unique is None:
            return True
        keys = {hash(record[self._unique]) for record in records}
        if len(keys) < lines or not self._seen.isdisjoint(keys):
            return False
        self._seen |= keys
        return True

    def _names_twice(self, record: simdjson.Object) -> bool:
        names = [*record.keys()]
        return any(names.count(name.decode()) > 1 for name in self._kinds)


def _may_have_many_values(chunk: bytes, start: int, end: int) -> bool:
    """Whether a line is long enough for too many values, and a count of what may be some finds too many."""
    while end - start > MAX_VALUES:
        behind = chunk.rfind(b"\n", start, start + MAX_VALUES)
        if behind < 0:
            if _are_few(chunk, b"{[,", _FEW_VALUES, start, end):
                return False
            rest = chunk[start:end]
            return rest.count(b",") + opened(rest) > MAX_VALUES
        start = behind + 1
    return False


def _are_slow_to_parse(chunk: bytes, start: int) -> bool:
    """Whether the first bytes have many strings and escapes. Decides about speed alone."""
    end = start + _SAMPLED_BYTES
    return chunk.count(b'"', start, end) + chunk.count(b"\\", start, end) > _FEW_MARKS


def _are_few(chunk: bytes, marks: bytes, few: int, start: int, end: int) -> bool:
    """Whether no more than a few marks stand there; stops looking where more do."""
    find = chunk.find  # much faster than a count
    for mark in marks:
        at = find(mark, start, end)
        while at >= 0:
            if not few:
                return False
            few -= 1
            at = find(mark, at + 1, end)
    return True
