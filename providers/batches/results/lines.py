"""Cuts what a job wrote into lines, and finds the id in a line that cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from providers.batches.results.answers import UnreadableRowError
from providers.batches.results.labels import custom_id_of

#: A row repeats the request, of at most 32 MiB, and has the answer beside it.
MAX_LINE_BYTES: Final = 41_943_040
_EDGE_BYTES: Final = 65_536
_SPACE: Final = b" \t\r"

_NAMES: Final = rb'"(?:recordId|custom_id|key|requestId)"\s*:\s*("(?:[^"\\]|\\.){0,4096}+")'
_FIRST_MEMBER: Final = re.compile(rb"\s*\{\s*" + _NAMES)
_LAST_MEMBER: Final = re.compile(rb"[{,]\s*" + _NAMES + rb"\s*\}\s*\Z")
_LABELS: Final = re.compile(rb'"labels"\s*:\s*(\{[^{}]{0,4096}+\})')

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder()
_IDS: Final = frozenset({"recordId", "custom_id", "key", "requestId"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end. number: counted from 1. size: bytes of the whole of it, from `offset` on.

    content: of a line that is too long, its beginning and its end.
    """

    number: int
    content: bytes
    size: int
    offset: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of the line is there."""
        return self.size == len(self.content)

    def parsed(self, *, with_echo: bool = True) -> dict[str, Any]:
        """Return the object in the line. Raises UnreadableRowError, with the id if it can be found.

        with_echo: False leaves out what a row repeats of its request, unless the id may be in there.
        """
        if not self.is_whole:
            raise UnreadableRowError(f"is longer than {MAX_LINE_BYTES:,} bytes", self.salvaged_id())
        try:
            members = _MEMBERS.decode(self.content)
            skipped = frozenset() if with_echo else _echoes_in(members)
            return {name: _VALUE.decode(raw) for name, raw in members.items() if name not in skipped}
        except (ValueError, RecursionError, msgspec.DecodeError):
            return self._parsed_patiently()

    def _parsed_patiently(self) -> dict[str, Any]:
        """Return what is no JSON, strictly speaking, but can be understood."""
        try:
            row = json.loads(self.content)
        except (ValueError, RecursionError):
            raise UnreadableRowError("is not JSON", self.salvaged_id()) from None
        if not isinstance(row, dict):
            raise UnreadableRowError("is not a JSON object")
        return row

    def salvaged_id(self) -> str | None:
        """Return the id of a line that is no JSON: where it is the first or last member, or in labels."""
        for edge in (_FIRST_MEMBER.match(self.content), _LAST_MEMBER.search(self.content[-_EDGE_BYTES:])):
            if edge is not None and isinstance(found := _decoded(edge[1]), str):
                return found
        labels = _LABELS.search(self.content)
        found = _decoded(labels[1]) if labels is not None else None
        return custom_id_of({"request": {"labels": found}})


class LineCutter:
    """Takes chunks and yields the lines that they complete; blank ones are counted and left out.

    Holds MAX_LINE_BYTES of a line at most; of a longer one only both edges.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._number = 0
        self._offset = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that end in `chunk`."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._keep(piece)
            yield from self._end()
        self._keep(rest)

    def finish(self) -> Iterator[Line]:
        """Yield what stands behind the last line end."""
        if self._size:
            yield from self._end()

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._max_bytes:
            whole = b"".join(self._pieces)
            self._pieces = [whole[:_EDGE_BYTES], whole[_EDGE_BYTES:][-_EDGE_BYTES:]]

    def _end(self) -> Iterator[Line]:
        content, size = b"".join(self._pieces), self._size
        self._pieces, self._size = [], 0
        self._number += 1
        offset, self._offset = self._offset, self._offset + size + 1
        if content.strip(_SPACE):
            yield Line(self._number, content, size, offset)


def _echoes_in(names: Container[str]) -> frozenset[str]:
    """Return the members that repeat the request; one that may hold the id is needed where no other does."""
    has_id = any(name in names for name in _IDS)
    return frozenset({"modelInput", "body", *(("request", "instance") if has_id else ())})


def _decoded(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
