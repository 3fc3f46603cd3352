"""Passes good batch lines at a fraction of what decoding them costs; others are left to the full check."""

from __future__ import annotations

import re
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from providers.batches.json_lines import MAX_VALUES, LineLimits, is_shallow, opened
from providers.objects import BatchLineFormat

#: Python refuses whole numbers of more digits. Every 419th byte of one is ten digits in a row; the stride is
#: prime, so that it does not keep time with lists of short numbers.
_LONGEST_NUMBER: Final = 4_300
_STRIDE: Final = 419
_TEN_DIGITS: Final = re.compile(rb"[0-9]{10}").search
_TOO_MANY_DIGITS: Final = re.compile(rb"[0-9]{4301}").search
#: Where no more arrays and objects begin, looking for each costs less than decoding the line.
_FEW: Final = 16
_decode_all: Final = msgspec.json.Decoder().decode


class QuickLines:
    """Passes lines that are good; one that it does not pass may be good too.

    It passes no line that `decoded` or the format refuses. msgspec takes two things that Python's decoder
    does not, bytes that are no UTF-8 and endless whole numbers, both in what it skips: they are looked for
    apart. What Python's takes and msgspec does not, half of a surrogate pair for one, is not passed.

    seen: hashes of the unique keys of all lines so far; those of lines that pass are added.
    """

    def __init__(self, expected: BatchLineFormat, limits: LineLimits, seen: set[int]) -> None:
        self._max_depth = limits.max_depth
        self._few = min(limits.max_depth, _FEW)
        self._seen = seen
        self._decode = _decoder_of(tuple(expected.required.items())).decode
        self._key = None if expected.unique is None else attrgetter(expected.unique)

    def passes(self, line: bytes) -> bool:
        """Whether a line is good beyond doubt, and its key a new one."""
        try:
            record = self._decode(line)
            if not line.isascii():
                line.decode()
            opens_few = _opens_few(line, self._few)
            if len(line) > _LONGEST_NUMBER and not _is_bounded(line, self._few if opens_few else None):
                return False
            if not opens_few and not is_shallow(_decode_all(line), self._max_depth):
                return False
        except (ValueError, RecursionError):
            return False
        return self._key is None or self._is_new(hash(self._key(record)))

    def _is_new(self, key: int) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _opens_few(line: bytes, few: int) -> bool:
    """Whether no more than a few arrays and objects begin; stops looking where more do."""
    find = line.find  # much faster than a count
    for mark in (b"{", b"["):
        at = find(mark)
        while at >= 0:
            if not few:
                return False
            few -= 1
            at = find(mark, at + 1)
    return True


def _is_bounded(line: bytes, containers: int | None) -> bool:
    """Whether a line has no endless number and not too many values; False where that is not certain.

    containers: how many arrays and objects there may be at most; None to count them.
    """
    if _TEN_DIGITS(line[::_STRIDE]) and _TOO_MANY_DIGITS(line):
        return False
    if len(line) <= MAX_VALUES:
        return True
    return line.count(b",") + (opened(line) if containers is None else containers) <= MAX_VALUES


@cache
def _decoder_of(required: tuple[tuple[str, type], ...]) -> msgspec.json.Decoder[Any]:
    """Return what decodes the required members; of objects it only checks the syntax."""
    skipped = msgspec.defstruct("Skipped", [], gc=False)
    fields = [(name, skipped if kind is dict else kind) for name, kind in required]
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, gc=False))
