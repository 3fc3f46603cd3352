"""Reads a line whose every word will be rendered: nothing in it may be lost on the way."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from providers.batches.json_lines import MAX_VALUES, JSONProblemError, LineLimits, check_values, decoded

#: The escapes whose second character is not to be taken for the end of a string, or for its own escape.
_ESCAPE: Final = re.compile(rb'\\["\\]')
_CONTAINERS: Final = (dict, list)
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
    if isinstance(record, dict) and _strings_in(record, limits.max_depth) != _strings_of(line):
        _UNIQUE.decode(line.decode())
    return record


def _strings_of(line: bytes) -> int:
    """Return how many strings stand in a line of JSON, names among them."""
    escaped = _ESCAPE.findall(line).count(b'\\"') if b"\\" in line else 0
    return (line.count(b'"') - escaped) // 2


def _strings_in(record: dict[str, Any], max_depth: int) -> int:
    """Return how many strings a record holds: fewer than its line where a name stood twice.

    Raises JSONProblemError where it is nested too deep.
    """
    strings = 0
    layer: list[Any] = [record]
    for _ in range(max_depth):
        below: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                strings += len(value)
                value = value.values()
            kinds = [*map(type, value)]
            strings += kinds.count(str)
            if dict in kinds or list in kinds:
                below += [child for child in value if isinstance(child, _CONTAINERS)]
        if not below:
            return strings
        layer = below
    raise JSONProblemError(f"nested deeper than {max_depth} levels")


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(members)) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise JSONProblemError(f"names {json.dumps(twice[:64])} twice in one object: keep one of them")
    return found


_UNIQUE: Final = json.JSONDecoder(object_pairs_hook=_unique)
