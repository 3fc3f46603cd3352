"""Keeps secrets, and line breaks that would forge a line, out of every log."""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter
from structlog.typing import WrappedLogger

from providers.masking import MASK, mask

__all__ = ["MASK", "ReporterFilter", "mask", "mask_path", "redact"]

SECRET_FIELD = re.compile(
    r"(^|[_-])(key|keys|secret|token|password|pepper|credentials|cookie|authorization)$|^(api-?key|set-cookie)$",
    re.I,
)
# Fields that end in a word above and hold no secret.
OPEN_FIELDS = frozenset({"idempotency_key", "storage_key"})

MULTILINE_FIELDS = frozenset({"exception", "stack"})
LINE_BREAKS = {
    ord("\r"): "\\r",
    ord("\n"): "\\n",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
    0x85: "\\x85",
    0x1B: "\\x1b",
}


# A key of an operator's own format has at least 32 characters, any of them, also slashes. Ids of files are as
# long, but begin with what they are.
SHORTEST_KEY = 32
SHORTEST_PIECE = 16
ID = re.compile(r"(file|batch)[-_][A-Za-z0-9_-]+")
WORD = re.compile(r"[^\s'\"/,;:()]+")
RANDOM = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])")


def mask_path(path: str) -> str:
    """Return a path that led to nothing, with every segment masked that may be a key or a piece of one."""
    return "/".join(MASK if _may_be_key(segment) else segment for segment in path.split("/"))


def mask_words(text: str, *quoted: str) -> str:
    """Return what a client was told, with everything in it masked that may be a key or a piece of one.

    quoted: what the client sent and the text may repeat, which counts as a whole.
    """
    for whole in quoted:
        if whole and _may_be_key(whole):
            text = text.replace(whole, MASK)
    return WORD.sub(lambda word: MASK if _may_be_key(word[0]) else word[0], text)


def _may_be_key(segment: str) -> bool:
    if ID.fullmatch(segment):
        return False
    is_random = len(segment) >= SHORTEST_PIECE and bool(RANDOM.match(segment))
    return len(segment) >= SHORTEST_KEY or is_random


@lru_cache(maxsize=1024)
def is_secret_field(field: str) -> bool:
    """Whether a field's name says that its value is a secret."""
    return bool(SECRET_FIELD.search(field)) and field not in OPEN_FIELDS


def redact(logger: WrappedLogger, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in a log event, at any depth, and escape what could start a second line."""
    if _is_harmless(event):
        return event
    for field, value in event.items():
        event[field] = _redacted(field, value)
    return event


def _is_harmless(event: Mapping[str, Any]) -> bool:
    """Whether one look at all of an event finds nothing in it to mask or to escape, as in most.

    Between the values stands a space: where one of them has a secret, the whole has it too.
    """
    if _have_secret_field(tuple(event)):
        return False
    texts = []
    for value in event.values():
        if isinstance(value, str):
            texts.append(value)
        elif value is not None and not isinstance(value, bool | int | float):
            return False
    whole = " ".join(texts)
    return whole.isprintable() and mask(whole) == whole


@lru_cache(maxsize=256)
def _have_secret_field(fields: tuple[str, ...]) -> bool:
    return any(map(is_secret_field, fields))


def _redacted(field: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_secret_field(field):
        return MASK
    if isinstance(value, str):
        return _cleaned(field, value)
    if isinstance(value, dict):
        return {key: _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item) for item in value]
    return _cleaned(field, str(value))


def _cleaned(field: str, value: str) -> str:
    masked = mask(value)
    if field in MULTILINE_FIELDS or masked.isprintable():  # no line break is
        return masked
    return masked.translate(LINE_BREAKS)


class ReporterFilter(SafeExceptionReporterFilter):
    """Django's filter for error reports and pages, which also hides settings whose URL may hold a password.

    It is active under DEBUG too: a page that helps to mend code needs no secret.
    """

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + "|PEPPER|DATABASE|BROKER|STORAGE_URL",
        flags=re.IGNORECASE,
    )

    def cleanse_setting(self, key: int | str, value: Any) -> Any:
        """Return the value without what is a secret by its name, or looks like one, at any depth."""
        cleansed = super().cleanse_setting(key, value)
        return mask(cleansed) if isinstance(cleansed, str) else cleansed

    def is_active(self, request: HttpRequest | None) -> bool:
        """Hide variables and parameters that are marked as sensitive, always."""
        return True
