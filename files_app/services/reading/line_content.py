"""Reads one line of a batch file, and no more of the file than that needs."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from files_app.exceptions import InvalidRequestError
from files_app.models import File
from files_app.services.index.callers import Caller
from files_app.services.reading.downloads import open_file, require_content
from files_app.services.reading.line_pages import Entry
from files_app.words import readable_bytes
from providers.batches.results.answers import UnreadableRowError
from providers.batches.results.lines import Line
from providers.batches.summary import Said, conversation
from providers.objects import ByteRange, MiB

#: Of a longer line only the beginning is read.
MAX_READ_BYTES: Final = 4 * MiB
#: What is read and thrown away at most, where a provider gives out whole files alone.
MAX_SKIPPED_BYTES: Final = 64 * MiB
_MAX_STRING: Final = 2_000
_MAX_ITEMS: Final = 50
_MAX_SHOWN: Final = 100_000


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line for people. said: the conversation in it. json: all of it, with long texts cut."""

    said: list[Said]
    json: str
    is_cut: bool


def read_line(file: File, entry: Entry, *, caller: Caller) -> ShownLine:
    """Read one line. Raises GatewayError and ProviderError."""
    content = _bytes(file, entry, caller)
    if len(content) < entry.size:
        return ShownLine([], content[:_MAX_SHOWN].decode("utf-8", "replace"), is_cut=True)
    try:
        row = Line(entry.line, content, entry.size).parsed()
    except UnreadableRowError:
        return ShownLine([], content[:_MAX_SHOWN].decode("utf-8", "replace"), len(content) > _MAX_SHOWN)
    shown = json.dumps(_shortened(row), ensure_ascii=False, indent=2)
    said = [Said(each.role, _cut(_printable(each.words))) for each in conversation(row)]
    return ShownLine(said, _printable(shown[:_MAX_SHOWN]), is_cut=len(shown) > _MAX_SHOWN)


def _bytes(file: File, entry: Entry, caller: Caller) -> bytes:
    wanted = min(entry.size, MAX_READ_BYTES)
    can_range = require_content(file).capabilities.ranges
    if not can_range and entry.offset > MAX_SKIPPED_BYTES:
        raise InvalidRequestError(
            f"This provider gives out whole files alone, and the line is behind the first "
            f"{readable_bytes(MAX_SKIPPED_BYTES)}: download the file to read it."
        )
    byte_range = ByteRange(entry.offset, entry.offset + wanted - 1) if can_range else None
    before, content = 0 if can_range else entry.offset, bytearray()
    with closing(open_file(file, caller=caller, byte_range=byte_range, part="line")) as opened:
        for chunk in opened.chunks:
            content += chunk[before:] if before < len(chunk) else b""
            before = max(0, before - len(chunk))
            if len(content) >= wanted:
                break
    return bytes(content[:wanted])


def _shortened(value: Any) -> Any:
    """Return a value with its long texts and lists cut: images and vectors tell people nothing."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        rest = len(value) - _MAX_ITEMS
        return [*map(_shortened, value[:_MAX_ITEMS]), *([f"… {rest:,} more"] if rest > 0 else [])]
    return value


def _cut(words: str) -> str:
    rest = len(words) - _MAX_STRING
    return words if rest <= 0 else f"{words[:_MAX_STRING]}… {rest:,} more characters"


def _printable(words: str) -> str:
    """Return words without halves of characters, which no page can hold."""
    return words.encode("utf-8", "replace").decode()
