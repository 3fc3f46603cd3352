"""The type under which a provider gets a file: one rule for all that look at it."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

#: What clients send that do not know: no type at all, or a name for any bytes.
_UNSPECIFIC: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})

#: Python's own table, and not that of the host, so that a name means the same everywhere.
_TABLE: Final = mimetypes.MimeTypes()

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
for _extension, _type in {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".webp": "image/webp",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
}.items():
    _TABLE.add_type(_type, _extension)


def provider_type(content_type: str, filename: str) -> str | None:
    """Return the specific type that a client gave, else what the name says; None where neither tells.

    Without parameters such as a charset, which not every provider would take.
    """
    given = content_type.partition(";")[0].strip().lower()
    if given not in _UNSPECIFIC:
        return given
    return _type_of(PurePosixPath(filename).suffix)


@lru_cache(maxsize=256)
def _type_of(suffix: str) -> str | None:
    # The extension alone: `guess_type` takes names for URLs, and reads a type out of `data:text/html,a.pdf`.
    guessed, encoding = _TABLE.guess_type(f"file{suffix}")
    return guessed if encoding is None else None
