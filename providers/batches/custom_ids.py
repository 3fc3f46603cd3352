"""A caller's id as labels of a request, for Gemini's chat lines at Vertex, which have no field for it.

A label's value is at most 63 of `a-z0-9_-` (docs.cloud.google.com/resource-manager/docs/labels-overview,
read 2026-11-26). An id that is such a value is the label `custom_id`, for people to read. Any other one is
UTF-8 in base32, cut into the labels `custom_id_b32_0`, `custom_id_b32_1` and so on.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from collections.abc import Mapping
from itertools import count
from typing import Final

PLAIN: Final = "custom_id"
PIECE: Final = "custom_id_b32_"
MAX_VALUE: Final = 63
_PLAIN_ID: Final = re.compile(r"[a-z0-9_-]{1,63}")


def labels_from(custom_id: str) -> dict[str, str]:
    """Return the labels that carry an id; at most 26 for one of 255 characters."""
    if _PLAIN_ID.fullmatch(custom_id):
        return {PLAIN: custom_id}
    text = b32encode(custom_id.encode()).decode().rstrip("=").lower()
    pieces = (text[at : at + MAX_VALUE] for at in range(0, len(text), MAX_VALUE))
    return {f"{PIECE}{number}": piece for number, piece in enumerate(pieces)}


def custom_id_from(labels: Mapping[str, object]) -> str | None:
    """Return the id that labels carry; None where they carry none of ours."""
    if isinstance(plain := labels.get(PLAIN), str):
        return plain
    pieces = []
    for number in count():
        if not isinstance(piece := labels.get(f"{PIECE}{number}"), str):
            break
        pieces.append(piece)
    text = "".join(pieces).upper()
    try:
        return b32decode(text + "=" * (-len(text) % 8)).decode() or None
    except (Base32Error, UnicodeDecodeError):
        return None
