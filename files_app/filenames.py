"""Names that clients and providers give to files are shown, never used as a path."""

from __future__ import annotations

import re
import unicodedata

MAX_FILENAME_CHARACTERS = 255
DEFAULT_FILENAME = "upload"
#: Unicode's categories of control characters, lone surrogates, line and paragraph separators.
_DROPPED = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: Marks that reorder the text around them: `invoice‮fdp.exe` would be shown as a PDF.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_filename(name: str) -> str:
    """Return a name that is safe to store and show: its last path segment, at most 255 characters.

    Control characters, line separators and bidirectional marks are dropped; a long name keeps its extension.
    """
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in _DROPPED and c not in _BIDI_CONTROLS)
    name = name.strip()
    if not name.strip("."):
        return DEFAULT_FILENAME
    if len(name) > MAX_FILENAME_CHARACTERS:
        stem, dot, extension = name.rpartition(".")
        tail = dot + extension if stem and len(extension) <= 16 else ""
        name = name[: MAX_FILENAME_CHARACTERS - len(tail)].rstrip() + tail
    return name


def extension_of(name: str) -> str:
    """Return the lower-case extension with its dot, or an empty string."""
    stem, dot, extension = name.rpartition(".")
    return f".{extension.lower()}" if stem and dot else ""
