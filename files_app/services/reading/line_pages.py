"""Packs what is known of a batch file's requests, and finds some of them again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final

import msgspec

from files_app.models import LineIndex, LinePage
from providers.batches.results.lines import Line, LineCutter
from providers.batches.summary import LineSummary, summary_of

#: Requests of a packed page.
PACKED: Final = 250


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. number: counted from 0, blank lines not. line: its number in the file, from 1.

    offset, size: where its bytes are.
    """

    number: int
    line: int
    offset: int
    size: int
    summary: LineSummary


@dataclass(frozen=True, slots=True)
class Found:
    """Some requests, and how many there are of their kind."""

    entries: list[Entry]
    total: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A page for the database."""

    number: int
    failed: int
    data: bytes


class Packer:
    """Takes a file's bytes and packs what its lines say, `most` at the most."""

    def __init__(self, most: int) -> None:
        self.pages: list[Packed] = []
        self.lines = self.failed = 0
        self.is_full = False
        self._most = most
        self._cutter = LineCutter()
        self._held: list[Entry] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        for line in self._cutter.feed(chunk):
            self._add(line)

    def finish(self, *, is_end: bool = True) -> None:
        """Pack the rest. is_end: no more bytes follow, so that what is behind the last line end is a line."""
        for line in self._cutter.finish() if is_end else ():
            self._add(line)
        if self._held:
            self._pack()

    def _add(self, line: Line) -> None:
        if self.lines >= self._most:
            self.is_full = True
            return
        self._held.append(Entry(self.lines, line.number, line.offset, line.size, summary_of(line)))
        self.lines += 1
        if len(self._held) >= PACKED:
            self._pack()

    def _pack(self) -> None:
        failed = sum(entry.summary.is_failed for entry in self._held)
        self.failed += failed
        data = zlib.compress(msgspec.msgpack.encode(self._held), 6)
        self.pages.append(Packed(len(self.pages), failed, data))
        self._held = []


_DECODER: Final = msgspec.msgpack.Decoder(list[Entry])


def _unpacked(page: LinePage) -> list[Entry]:
    return _DECODER.decode(zlib.decompress(page.data))


def _entries(index: LineIndex, *, only_failed: bool = False) -> Iterator[Entry]:
    pages = index.pages.order_by("number")
    for page in (pages.filter(failed__gt=0) if only_failed else pages).iterator(chunk_size=20):
        yield from _unpacked(page)


def slice_of(index: LineIndex, start: int, stop: int) -> list[Entry]:
    """Return the requests with these numbers."""
    pages = index.pages.filter(number__gte=start // PACKED, number__lte=(stop - 1) // PACKED)
    found = [entry for page in pages.order_by("number") for entry in _unpacked(page)]
    return [entry for entry in found if start <= entry.number < stop]


def search(
    index: LineIndex, *, wanted: str, only_failed: bool, failed: Set[str] | None, start: int, stop: int
) -> Found:
    """Return the requests from `start` to `stop` of those that fit.

    wanted: in the custom id, whatever its case. failed: the ids of those that failed, where other files say
    so; None where these lines themselves do.
    """
    if not wanted and not only_failed:
        return Found(slice_of(index, start, stop), index.lines)
    wanted = wanted.casefold()
    entries, total = [], 0
    for entry in _entries(index, only_failed=only_failed and failed is None):
        summary = entry.summary
        has_failed = summary.is_failed if failed is None else summary.custom_id in failed
        if (only_failed and not has_failed) or wanted not in summary.custom_id.casefold():
            continue
        if start <= total < stop:
            entries.append(entry)
        total += 1
    return Found(entries, total)


def by_id(index: LineIndex, ids: Set[str]) -> dict[str, Entry]:
    """Return the first line of each id that is there."""
    found: dict[str, Entry] = {}
    for entry in _entries(index) if ids else ():
        if entry.summary.custom_id in ids:
            found.setdefault(entry.summary.custom_id, entry)
            if len(found) == len(ids):
                break
    return found


def failed_ids(index: LineIndex) -> set[str]:
    """Return the ids of the requests that failed."""
    return {entry.summary.custom_id for entry in _entries(index, only_failed=True) if entry.summary.is_failed}
