"""Reads what a deletion asks for, as strictly as a list's parameters are read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rest_framework.request import Request

from files_app.api import parameters
from files_app.exceptions import FileTooLargeError, InvalidRequestError
from files_app.services.accounts.selection import PROVIDER_HEADER
from files_app.services.reading.listing import FileFilters
from files_app.web.bodies import body_reader, content_length
from providers.objects import FILE_STATUSES

#: Above any filter that can be: 16 entries of metadata, and some words.
_MAX_BODY = 64 * 1024
_MAX_WORD = 1_024
_WORDS = frozenset({"purpose", "provider", "status", "filename"})
_TIMES = frozenset({"created_after", "created_before"})
_MAX_ENTRIES = 16
_METADATA = re.compile(r"metadata\[(.{1,64})\]")


@dataclass(frozen=True, slots=True)
class DeletionRequest:
    """Which files, whether they are only to be counted, and whether they skip the trash."""

    filters: FileFilters
    dry_run: bool
    erase: bool


def read_deletion(request: Request) -> DeletionRequest:
    """Return what is asked for. Raises InvalidRequestError naming the bad member, and FileTooLargeError."""
    body = _body(request)
    if unknown := sorted(body.keys() - {"filter", "dry_run", "erase"}):
        raise InvalidRequestError(f"Unknown member: '{unknown[0][:64]}'.", param=unknown[0][:64])
    wanted = body.get("filter")
    if not isinstance(wanted, dict):
        raise InvalidRequestError(
            'Say which files with \'filter\', such as {"metadata": {"user": "42"}}.', param="filter"
        )
    return DeletionRequest(_filters(request, wanted), _flag(body, "dry_run"), _flag(body, "erase"))


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequestError(f"'{name}' is true or false.", param=name)
    return value


def _body(request: Request) -> dict[str, Any]:
    length = content_length(request)
    if length is not None and length > _MAX_BODY:
        raise FileTooLargeError(f"The body is over {_MAX_BODY:,} bytes.")
    read, received = body_reader(request), b""
    while len(received) <= _MAX_BODY and (length is None or len(received) < length):
        chunk = read(_MAX_BODY + 1 - len(received) if length is None else length - len(received))
        if not chunk:
            break
        received += chunk
    if len(received) > _MAX_BODY:
        raise FileTooLargeError(f"The body is over {_MAX_BODY:,} bytes.")
    try:
        body = json.loads(received.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise InvalidRequestError("The body is no JSON object.", param="body") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body is no JSON object.", param="body")
    return body


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Of a name that stands there twice readers take either: nothing is deleted."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequestError(f"'{twice[:64]}' is there twice.", param=twice[:64])
    return found


def _filters(request: Request, wanted: dict[str, Any]) -> FileFilters:
    given: dict[str, Any] = {}
    entries: list[tuple[str, Any]] = []
    for name, value in wanted.items():
        if name in _WORDS:
            given[name] = _word(name, value)
        elif name in _TIMES:
            given[name] = _time(name, value)
        elif name == "metadata" and isinstance(value, dict):
            entries += [(_key(key), _word(f"metadata[{key[:64]}]", entry)) for key, entry in value.items()]
        elif match := _METADATA.fullmatch(name):
            entries.append((_key(match[1]), _word(name, value)))
        else:
            raise InvalidRequestError(f"The filter has no '{name[:64]}'.", param=f"filter.{name[:64]}")
    metadata = _each_once(entries)
    if len(metadata) > _MAX_ENTRIES:
        raise InvalidRequestError(f"At most {_MAX_ENTRIES} entries of metadata.", param="filter.metadata")
    if given.get("status", FILE_STATUSES[0]) not in FILE_STATUSES:
        raise InvalidRequestError(f"'status' is one of {', '.join(FILE_STATUSES)}.", param="filter.status")
    named = parameters.provider_name(request)
    if named is not None and given.setdefault("provider", named) != named:
        raise InvalidRequestError(
            f"The header {PROVIDER_HEADER} and 'provider' name different accounts.", param="filter.provider"
        )
    return FileFilters(**given, metadata=metadata)


def _word(name: str, value: object) -> str:
    """Return a text; an empty one is refused, since it would read as no condition."""
    if not isinstance(value, str) or not value or len(value) > _MAX_WORD or not parameters.is_storable(value):
        raise InvalidRequestError(f"'{name}' is a text, and not empty.", param=f"filter.{name}")
    return value


def _key(key: str) -> str:
    if not 1 <= len(key) <= 64 or not parameters.is_storable(key):
        raise InvalidRequestError("A key of the metadata has 1 to 64 characters.", param="filter.metadata")
    return key


def _time(name: str, value: object) -> datetime:
    try:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(value)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequestError(f"'{name}' is a time in Unix seconds.", param=f"filter.{name}") from None
