"""Checks a JSON value that is too long to be held, piece by piece.

Decoded at once, a line of 32 MiB can take nine times as much: as bytes, as text of four bytes a character,
and as the strings in it. Here nothing is held but the piece in hand.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from providers.batches.json_lines import JSONProblemError

#: Longest number, as in Python's own decoder, and longest name or text that is kept.
MAX_NUMBER_BYTES: Final = 4_300
MAX_KEPT_BYTES: Final = 65_536

_TOKEN = re.compile(rb'[ \t\r\n]*+(?:([\[\]{}:,"])|([-+.0-9A-Za-z]++))?')
_STRING_REST = re.compile(rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
_LONGEST_ESCAPE = 6
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)")
_WORDS: Final = {b"true": True, b"false": False, b"null": None}
_FOREIGN_WORDS: Final = {b"NaN", b"Infinity", b"-Infinity"}

# What may come next, a letter each: a `v`alue, a `k`ey, or the character itself.
_INSIDE: Final = {"{": "k}", "[": "v]"}
_BEHIND_COMMA: Final = {"{": "k", "[": "v"}
_BEHIND_VALUE: Final = {"{": ",}", "[": ",]"}
_OPENED_BY: Final = {"}": "{", "]": "["}


class JSONScanner:
    """Takes a value in pieces; `finish` returns what is kept of it.

    max_depth: levels of arrays and objects. max_values: all that are in it.
    kept: names of members of the outermost object. The strings among them are kept as they are; of other
    kinds, an empty one. Both methods raise JSONProblemError.
    """

    def __init__(self, *, max_depth: int, max_values: int, kept: frozenset[str]) -> None:
        self._max_depth = max_depth
        self._max_values = max_values
        self._kept = kept
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._taken = 0  # bytes of all pieces before the one in hand
        self._rest = b""  # the beginning of a token or an escape that the next piece may go on with
        self._open: list[str] = []
        self._expected = "v"
        self._values = 0
        self._is_in_string = False
        self._text: bytearray | None = None  # of the string in hand, if it is kept
        self._key: str | None = None  # of the outermost object; None while the key itself comes
        self._value: Any = None

    @property
    def is_blank(self) -> bool:
        """Whether there was nothing but white space."""
        return not self._values and not self._rest

    def feed(self, piece: bytes) -> None:
        """Check the next piece."""
        self._check_encoding(piece)
        self._scan(self._rest + piece, is_last=False)
        self._taken += len(piece)

    def finish(self) -> Any:
        """Return what is kept of the value, which must have ended."""
        self._check_encoding(b"", is_last=True)
        self._scan(self._rest, is_last=True)
        if self._expected or self._is_in_string:
            raise JSONProblemError("is not JSON: it ends too early")
        return self._value

    def _check_encoding(self, piece: bytes, *, is_last: bool = False) -> None:
        begun = len(self._utf8.getstate()[0])
        try:
            self._utf8.decode(piece, is_last)
        except UnicodeDecodeError as exc:
            raise JSONProblemError(f"is not UTF-8 (byte {self._taken - begun + exc.start + 1})") from None

    def _scan(self, buffer: bytes, *, is_last: bool) -> None:
        """Check as much of the buffer as its end does not leave open."""
        first = self._taken - len(self._rest)
        at = 0
        while at < len(buffer):
            step = self._step_in_string if self._is_in_string else self._step
            end, is_good = step(buffer, at, is_last)
            if not is_good:
                raise JSONProblemError(f"is not JSON (byte {first + end + 1})")
            if end == at:
                break
            at = end
        self._rest = buffer[at:]

    def _step(self, buffer: bytes, at: int, is_last: bool) -> tuple[int, bool]:
        """Return the end of the token at a place, and True; or where it is wrong, and False.

        The end is the place itself when the token may go on in the next piece.
        """
        if (match := _TOKEN.match(buffer, at)) is None:
            return at, False
        mark, word = match.groups()
        if mark is not None:
            is_good = self._take_mark(mark.decode())
            return (match.end() if is_good else match.start(1)), is_good
        if word is None:
            return match.end(), match.end() == len(buffer)
        if len(word) > MAX_NUMBER_BYTES:
            raise JSONProblemError("holds a number that is too long")
        if match.end() == len(buffer) and not is_last:
            return at, True
        is_good = self._take_word(word)
        return (match.end() if is_good else match.start(2)), is_good

    def _step_in_string(self, buffer: bytes, at: int, is_last: bool) -> tuple[int, bool]:
        """Return as `_step` does, for the rest of a string or for what is there of it."""
        if (match := _STRING_REST.match(buffer, at)) is None:
            return at, False
        end = match.end()
        self._keep_text(buffer[at:end])
        if buffer[end : end + 1] == b'"':
            self._end_string()
            return end + 1, True
        is_begun_escape = buffer[end : end + 1] == b"\\" and len(buffer) - end < _LONGEST_ESCAPE
        return end, end == len(buffer) or (is_begun_escape and not is_last)

    def _keep_text(self, text: bytes) -> None:
        if self._text is None:
            return
        self._text += text
        if len(self._text) <= MAX_KEPT_BYTES:
            return
        if self._key is not None:
            raise JSONProblemError(f"'{self._key}' is too long")
        self._text = None  # no name that is asked for is so long

    def _take_mark(self, mark: str) -> bool:
        if mark == '"':
            return self._begin_string()
        if mark in "{[":
            return self._open_container(mark)
        if mark not in self._expected:
            return False
        if mark == ":":
            self._expected = "v"
        elif mark == ",":
            self._expected = _BEHIND_COMMA[self._open[-1]]
        else:
            self._open.pop()
            self._end_value()
        return True

    def _begin_string(self) -> bool:
        is_key = "k" in self._expected
        if not is_key and not self._begin_value(""):
            return False
        if is_key and len(self._open) == 1:
            self._key = None
        is_kept = len(self._open) == 1 and self._open[0] == "{" and (is_key or self._key in self._kept)
        self._text = bytearray() if is_kept else None
        self._is_in_string = True
        self._expected = ":" if is_key else ""
        return True

    def _end_string(self) -> None:
        self._is_in_string = False
        text = None if self._text is None else json.loads(b'"' + self._text + b'"')
        if self._expected == ":":
            if len(self._open) == 1:
                self._key = text or ""
            return
        if text is not None:
            self._value[self._key] = text
        self._end_value()

    def _open_container(self, mark: str) -> bool:
        if not self._begin_value({} if mark == "{" else []):
            return False
        if len(self._open) == self._max_depth:
            raise JSONProblemError(f"nested deeper than {self._max_depth} levels")
        self._open.append(mark)
        self._expected = _INSIDE[mark]
        return True

    def _take_word(self, word: bytes) -> bool:
        if word in _FOREIGN_WORDS:
            raise JSONProblemError(f"is not JSON: {word.decode()}")
        number = _NUMBER.fullmatch(word)
        if number is None and word not in _WORDS:
            return False
        empty: Any = (0.0 if number[1] else 0) if number else _WORDS[word]
        if not self._begin_value(empty):
            return False
        self._end_value()
        return True

    def _begin_value(self, empty: Any) -> bool:
        """Count a value, and keep an empty one of its kind where it is asked for."""
        if "v" not in self._expected:
            return False
        self._values += 1
        if self._values > self._max_values + 1:
            raise JSONProblemError(f"holds more than {self._max_values:,} values")
        if not self._open:
            self._value = empty
        elif len(self._open) == 1 and self._open[0] == "{" and self._key in self._kept:
            self._value[self._key] = empty
        return True

    def _end_value(self) -> None:
        self._expected = _BEHIND_VALUE[self._open[-1]] if self._open else ""
