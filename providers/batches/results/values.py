"""Careful looks into JSON that others wrote: what has another type than expected counts as not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.objects import JSONObject


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object as it is, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """Return a string as it is, else an empty one."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """Return a number of tokens or records; 0 for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < 2**63 else 0


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a list."""
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, Mapping))


def parsed_object(value: object) -> Mapping[str, Any]:
    """Return an object that may come as the JSON of it, as database exports write their columns."""
    if not isinstance(value, str):
        return mapping(value)
    try:
        return mapping(json.loads(value))
    except (ValueError, RecursionError):
        return {}


def without_nulls(value: Any) -> Any:
    """Return a value without the members of objects that are null.

    Converse results carry one for every unused member of a union.
    """
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value


def numbers(value: object) -> list[float] | None:
    """Return a vector; None for anything that is none."""
    if not isinstance(value, list):
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in value):
        return None
    return [float(each) for each in value]


def compact(value: JSONObject) -> bytes:
    """Return the JSON of an object, as one line with its end."""
    try:
        return msgspec.json.encode(value) + b"\n"
    except UnicodeEncodeError:  # half of a character is JSON when it is escaped, and no UTF-8
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"
