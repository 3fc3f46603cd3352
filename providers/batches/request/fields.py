"""Reads members of a request one at a time; what is wrong with one is said as the end of a sentence."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from providers.objects import JSONObject, JSONValue

MAX_INT32 = 2_147_483_647


class UnfitLineError(Exception):
    """Why a line cannot be rendered, and what would work."""


@dataclass(slots=True)
class Notes:
    """What the lines of a file left out, and what an operator should know."""

    unsupported: Literal["refuse", "ignore"]
    ignored: set[str] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)


def shown(theirs: str) -> str:
    """Return what somebody wrote as a problem may quote it: short, and of printable characters."""
    return json.dumps(theirs[:64])[1:-1]


def text_in(holder: JSONObject, name: str, where: str) -> str:
    """Return a text that must be there. `where` names it in the problem."""
    if not isinstance(value := holder.get(name), str):
        raise UnfitLineError(f"'{where}' must be a string")
    return value


def object_in(holder: JSONObject, name: str, where: str) -> JSONObject:
    """Return an object that must be there."""
    if not isinstance(value := holder.get(name), Mapping):
        raise UnfitLineError(f"'{where}' must be an object")
    return value


def objects_in(value: JSONValue, where: str) -> list[JSONObject]:
    """Return the objects of a list."""
    if not isinstance(value, list):
        raise UnfitLineError(f"'{where}' must be an array")
    for number, each in enumerate(value):
        if not isinstance(each, Mapping):
            raise UnfitLineError(f"'{where}[{number}]' must be an object")
    return value  # type: ignore[return-value]  # each was looked at


def only(holder: JSONObject, names: Collection[str], where: str) -> None:
    """Refuse members that nobody reads; null ones say nothing."""
    for name, value in holder.items():
        if name not in names and value is not None:
            raise UnfitLineError(f"'{where}.{shown(name)}' is not known here: leave it out")


def integer(value: JSONValue, where: str, least: int, most: int = MAX_INT32) -> int:
    """Return a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UnfitLineError(f"'{where}' must be a whole number from {least:,} to {most:,}")
    return value


def number(value: JSONValue, where: str, least: float, most: float) -> float:
    """Return a number within bounds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]  # a number, as was looked at
        raise UnfitLineError(f"'{where}' must be a number from {least:g} to {most:g}")
    return value  # type: ignore[return-value]  # a number, as was looked at


def one_of(value: JSONValue, where: str, choices: Sequence[str]) -> str:
    """Return a word that is one of a few."""
    if not isinstance(value, str) or value not in choices:
        raise UnfitLineError(f"'{where}' must be {' or '.join(choices)} here")
    return value
