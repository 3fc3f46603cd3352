"""Serializer fields that convert nothing: a file's 5 is no text, its "5" no number, its 1 not true.

Their messages go on from a place: `organizations[0].name: must be text`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

#: What reads as a name. Anything else in the place of one can be a secret whose name was forgotten.
_NAME = re.compile(r"[A-Za-z_-]{1,24}")


def shown(name: object) -> str:
    """Return a name for a message; of what does not read as one only the beginning."""
    text = str(name)
    return text if _NAME.fullmatch(text) else f"{text[:4]}…"


def _must_be(what: str) -> dict[str, Any]:
    return dict.fromkeys(("invalid", "null"), f"must be {what}.")


class ExactField(serializers.Field[Any, Any, Any, Any]):
    """Takes values of one type; stands before one of the framework's fields, which would convert others."""

    kind: ClassVar[type]

    def to_internal_value(self, data: Any) -> Any:
        if type(data) is not self.kind:  # True is an instance of int
            self.fail("invalid")
        return super().to_internal_value(data)


class TextField(ExactField, serializers.CharField):
    """Text as it stands, with the spaces around it."""

    kind = str
    default_error_messages = {
        **_must_be("text; write numbers in quotes"),
        "required": "is required and must be text.",
        "blank": "must not be empty.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)


class ChoiceField(ExactField, serializers.ChoiceField):
    """One of some names. noun: what they are the names of."""

    kind = str

    def __init__(self, noun: str, choices: Collection[str], **kwargs: Any) -> None:
        known = ", ".join(choices)
        unknown = f"there is no {noun} '{{input}}'. Known {noun}s: {known}."
        messages = {**_must_be(f"one of: {known}"), "invalid_choice": unknown}
        super().__init__(list(choices), error_messages=messages, **kwargs)


class CountField(ExactField, serializers.IntegerField):
    """A number of things, bytes or seconds."""

    kind = int
    default_error_messages = _must_be("a whole number that is not negative")

    def to_internal_value(self, data: Any) -> int:
        number: int = super().to_internal_value(data)
        if number < 0:
            self.fail("invalid")
        return number


class TruthField(ExactField, serializers.BooleanField):
    """True or false."""

    kind = bool
    default_error_messages = _must_be("true or false")


class ListField(ExactField, serializers.ListField):
    """A list; null is an empty one."""

    kind = list
    default_error_messages = _must_be("a list")

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation([] if data is None else data)


class MappingField(ExactField, serializers.DictField):
    """Names of somebody else's choice and their values; null, and whatever else is empty, is an empty one."""

    kind = dict
    default_error_messages = _must_be("a mapping of names to values")

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(data or {})


class ExactSerializer(ExactField, serializers.Serializer[Any]):
    """A mapping with these names and no others."""

    kind = dict
    default_error_messages = _must_be("a mapping of names to values")

    def to_internal_value(self, data: Any) -> Any:
        for name in data if isinstance(data, dict) else ():
            if name not in self.fields:
                known = ", ".join(sorted(self.fields))
                raise ValidationError(f"unknown key '{shown(name)}'. Known keys: {known}.")
        return super().to_internal_value(data)
