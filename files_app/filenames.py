"""Names that clients and providers give to files are shown, never used as a path."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

MAX_FILENAME_CHARACTERS = 255
DEFAULT_FILENAME = "upload"
_ATTRIBUTE_CHARACTERS = "!#$&+^`|"  # of RFC 5987, beside what `quote` leaves
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


def attachment(name: str) -> str:
    """Return the Content-Disposition of a download under `name` (RFC 6266, appendix D).

    Where ASCII says it all there is one `filename`; else a simpler one for clients that read no `filename*`,
    such as curl, stands before it.
    """
    simple = _ascii(name)
    if simple == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{simple}\"; filename*=utf-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"


def _ascii(name: str) -> str:
    """Return `name` without accents, and an underscore for what a quoted ASCII name should not hold.

    Percent signs are among it: some browsers decode them.
    """
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '"\\%/' else "_" for c in letters)


def extension_of(name: str) -> str:
    """Return the lower-case extension with its dot, or an empty string."""
    stem, dot, extension = name.rpartition(".")
    return f".{extension.lower()}" if stem and dot else ""
