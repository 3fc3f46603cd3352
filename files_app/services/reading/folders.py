"""What lies in a folder of an object store, as the index has it: read in the order of keys, to a limit.

A remote id there is `<bucket>/<key>`, so that the outermost folders are buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Collate, StrIndex

from files_app.models import CopyState, FileCopy

MAX_ENTRIES = 100
MAX_KEY_CHARACTERS = 1024
#: Rows that one query reads, and as many of one folder as are added up.
BATCH = 500
_MOST_BATCHES = 40
#: The character behind the slash: whatever begins with it comes after all that is in a folder.
_BEHIND_SLASH = chr(ord("/") + 1)


@dataclass(slots=True)
class Entry:
    """A folder, or a file where `file_pk` is one. is_cut: the folder holds more than was added up."""

    name: str
    start: str
    file_pk: int | None = None
    filename: str = ""
    files: int = 0
    bytes: int = 0
    newest: datetime | None = None
    is_cut: bool = False


@dataclass(slots=True)
class Folder:
    """A page of what lies in a folder; `next_at` is where the next page begins, empty on the last one."""

    prefix: str
    entries: list[Entry] = field(default_factory=list)
    next_at: str = ""


def is_folder(prefix: str) -> bool:
    """Whether a text can be the name of a folder: empty for all there is, else with a slash at its end."""
    is_sound = len(prefix) <= MAX_KEY_CHARACTERS and "\x00" not in prefix and prefix.isprintable()
    return is_sound and (not prefix or prefix.endswith("/"))


def list_folder(copies: QuerySet[FileCopy], prefix: str, *, at: str = "") -> Folder:
    """Return what of `copies`, those of one account, lies directly in a folder.

    prefix: what `is_folder` takes. at: where to begin, from `next_at`.
    """
    folder = Folder(prefix)
    start = at if at.startswith(prefix) and "\x00" not in at else prefix
    for row in _rows(copies, folder, start):
        name, slash, _ = row["key"][len(prefix) :].partition("/")
        last = folder.entries[-1] if folder.entries else None
        if last is None or last.name != name + slash:
            if len(folder.entries) == MAX_ENTRIES:
                folder.next_at = prefix + name + slash
                break
            last = Entry(name + slash, prefix + name + slash)
            folder.entries.append(last)
        _add(last, row, is_file=not slash)
    return folder


def _add(entry: Entry, row: dict[str, Any], *, is_file: bool) -> None:
    entry.files += 1
    entry.bytes += row["file__bytes"]
    entry.newest = max(filter(None, [entry.newest, row["file__indexed_at"]]))
    if is_file:
        entry.file_pk, entry.filename = row["file"], row["file__filename"]


def _rows(copies: QuerySet[FileCopy], folder: Folder, start: str) -> Iterator[dict[str, Any]]:
    """Yield rows in the order of their keys, and leap over what is left of a folder with many."""
    rows = _in_order(copies)
    if folder.prefix:
        rows = rows.filter(key__lt=folder.prefix[:-1] + _BEHIND_SLASH)
    place = {"key__gte": start}
    for _ in range(_MOST_BATCHES):
        batch = list(rows.filter(**place)[:BATCH])
        yield from batch
        if len(batch) < BATCH:
            return
        last = folder.entries[-1]
        if last.name.endswith("/") and last.files >= BATCH:
            last.is_cut = True
            place = {"key__gte": last.start[:-1] + _BEHIND_SLASH}
        else:
            place = {"key__gt": batch[-1]["key"]}
    folder.next_at = next(iter(place.values()))


def _in_order(copies: QuerySet[FileCopy]) -> Any:
    """Return the columns that are shown, in the order of bytes: PostgreSQL's own may pass over a slash."""
    is_postgresql = connection.vendor == "postgresql"
    key = Collate("remote_id", "C") if is_postgresql else F("remote_id")
    stored = copies.annotate(slash=StrIndex("remote_id", Value("/"))).filter(
        state=CopyState.AVAILABLE, slash__gt=0
    )
    return (
        stored.annotate(key=key)
        .order_by("key")
        .values("key", "file", "file__filename", "file__bytes", "file__indexed_at")
    )
