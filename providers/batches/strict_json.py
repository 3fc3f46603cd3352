"""Reads a line whose every word will be rendered: nothing in it may be lost on the way."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from providers.batches.json_lines import JSONProblemError, LineLimits, check_depth, check_values, decoded

#: What stands behind every name of a member, and the same where a backslash alone shows that it is text.
_NAME_END: Final = re.compile(rb'"[ \t\r\n]*:')
_TEXT_NAME_END: Final = re.compile(rb'[^\\]\\"[ \t\r\n]*:')
_decode: Final = msgspec.json.Decoder().decode


def decoded_strictly(line: bytes, limits: LineLimits) -> Any:
    """Return the JSON of a line, in which no name stands twice. Raises JSONProblemError."""
    check_values(line)
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        decoded(line, limits)  # it knows how to say what is wrong
        raise JSONProblemError(
            "holds half of a surrogate pair, or a number too large for any model"
        ) from None
    check_depth(record, line, limits)
    _check_names(record, line)
    return record


def _check_names(record: Any, line: bytes) -> None:
    """Refuse a name that stands twice in one object: decoders keep the last of them.

    As long as no more names can stand in the text than are in the value, none is there twice; only where
    texts look like names is the line read again.
    """
    names = _count_names(record)
    most = len(_NAME_END.findall(line))
    if most > names and most - len(_TEXT_NAME_END.findall(line)) > names:
        _UNIQUE.decode(line.decode())


def _count_names(record: Any) -> int:
    names, rest = 0, [record]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            names += len(value)
            value = value.values()
        rest += [child for child in value if isinstance(child, dict | list)]
    return names


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(members)) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise JSONProblemError(f"names {json.dumps(twice[:64])} twice in one object: keep one of them")
    return found


_UNIQUE: Final = json.JSONDecoder(object_pairs_hook=_unique)
