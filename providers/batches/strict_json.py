"""Reads a line whose every word will be rendered: nothing in it may be lost on the way."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from providers.batches.json_lines import MAX_VALUES, JSONProblemError, LineLimits, check_values, decoded

#: What stands behind every name of a member. What looks so in a text mostly has a backslash before it.
_NAME_END: Final = re.compile(rb'"[ \t\r\n]*:')
_decode: Final = msgspec.json.Decoder().decode


def decoded_strictly(line: bytes, limits: LineLimits) -> Any:
    """Return the JSON of a line, in which no name stands twice. Raises JSONProblemError."""
    if len(line) > MAX_VALUES:
        check_values(line)
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        decoded(line, limits)  # it knows how to say what is wrong
        raise JSONProblemError(
            "holds half of a surrogate pair, or a number too large for any model"
        ) from None
    if isinstance(record, dict):
        _check_names(_count_names(record, limits.max_depth), line)
    return record


def _check_names(names: int, line: bytes) -> None:
    """Refuse a name that stands twice in one object: decoders keep the last of them.

    names: of the members that were kept. As long as no more can stand in the line, none was lost; only where
    texts look like names is the line read again.
    """
    if (most := len(_NAME_END.findall(line))) == names:
        return
    if b'\\\\"' in line or most - line.count(b'\\":') > names:
        _UNIQUE.decode(line.decode())


def _count_names(record: dict[str, Any], max_depth: int) -> int:
    """Return how many members there are. Raises JSONProblemError where they are nested too deep."""
    names = 0
    layer: list[Any] = [record]
    for _ in range(max_depth):
        below = []
        for value in layer:
            if isinstance(value, dict):
                names += len(value)
                value = value.values()
            below += [child for child in value if isinstance(child, dict | list)]
        if not below:
            return names
        layer = below
    raise JSONProblemError(f"nested deeper than {max_depth} levels")


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(members)) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise JSONProblemError(f"names {json.dumps(twice[:64])} twice in one object: keep one of them")
    return found


_UNIQUE: Final = json.JSONDecoder(object_pairs_hook=_unique)
