"""Finds the id that a row of Vertex AI carries: its chat lines have no member for one.

Besides the labels that the gateway itself writes, those of other gateways are read, so that results of jobs
whose lines they made keep their ids (shapes seen in LiteLLM 1.106 and Bifrost, 2026-11).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from providers.batches.custom_ids import custom_id_from
from providers.batches.results.values import mapping

_FOREIGN_PIECE: Final = "b32_"
_FOREIGN_NAME: Final = "litellm_custom_id"
#: Labels and members whose value is the id as it stands.
_PLAIN_LABELS: Final = (_FOREIGN_NAME, "bifrost_custom_id")
_MEMBERS: Final = ("custom_id", "key", "requestId", "recordId")


def custom_id_of(row: Mapping[str, Any]) -> str | None:
    """Return the id in a row's own members, in those of its instance, or in the labels of its request."""
    for place in (row, mapping(row.get("instance"))):
        for name in _MEMBERS:
            if isinstance(found := place.get(name), str):
                return found
    return _labelled(mapping(mapping(row.get("request")).get("labels")))


def _labelled(labels: Mapping[str, Any]) -> str | None:
    if (ours := custom_id_from(labels)) is not None:
        return ours
    raw = [labels.get(f"{_FOREIGN_NAME}_raw")]
    raw += [labels.get(f"{_FOREIGN_NAME}_raw_{number}") for number in range(1, len(labels))]
    pieces = [piece.removeprefix(_FOREIGN_PIECE) for piece in raw if isinstance(piece, str)]
    if pieces and (found := _decoded("".join(pieces))) is not None:
        return found
    return next((labels[name] for name in _PLAIN_LABELS if isinstance(labels.get(name), str)), None)


def _decoded(pieces: str) -> str | None:
    padded = pieces.upper() + "=" * (-len(pieces) % 8)
    try:
        return base64.b32decode(padded).decode()
    except (binascii.Error, ValueError):
        return None
