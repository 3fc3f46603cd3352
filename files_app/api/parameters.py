"""Reads headers and query parameters strictly: what is not understood is refused, not ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from django.http import HttpRequest, QueryDict

from files_app.exceptions import InvalidRequestError
from files_app.services.accounts.selection import MODEL_HEADER, PROVIDER_HEADER
from files_app.services.index.metering import report
from files_app.services.reading.listing import FileFilters, PageQuery
from files_app.services.uploads.placement import PLACEMENT_HEADERS
from providers.objects import FILE_STATUSES

METADATA_HEADER = "x-tfy-metadata"
_MAX_METADATA_ENTRIES = 16
_MAX_METADATA_KEY = 64
_MAX_METADATA_VALUE = 128
_MAX_MODEL = 512
_MAX_LIMIT = 10_000
_MAX_USAGE_DAYS = 366
#: What usage can be grouped by beside the day, as clients call it.
_USAGE_GROUPS: dict[str, report.Group] = {"api_key": "key", "provider": "account", "purpose": "purpose"}
_METADATA_FILTER = re.compile(r"metadata\[([^\]\0]{1,64})\]")
#: Of a list: which page, and what Azure's clients send, whose versions differ in nothing that is here.
_PAGE_PARAMETERS = frozenset({"after", "limit", "order", "api-version"})
_LIST_PARAMETERS = _PAGE_PARAMETERS | frozenset(
    {
        "purpose",
        "provider",
        "status",
        "filename",
        "created_after",
        "created_before",
    }
)


def provider_name(request: HttpRequest) -> str | None:
    """Return the account that the request names, None without the header. Raises InvalidRequestError."""
    name = request.META.get("HTTP_X_TFY_PROVIDER_NAME")
    if name is None:
        return None
    if not name.strip():
        raise InvalidRequestError(
            f"The header {PROVIDER_HEADER} is empty: name a provider account.", param=PROVIDER_HEADER
        )
    return str(name.strip())


def provider_model(request: HttpRequest) -> str | None:
    """Return the model that the request names for batch lines, None without. Raises InvalidRequestError."""
    name = request.META.get("HTTP_X_TFY_PROVIDER_MODEL")
    if name is None or not name.strip():
        return None
    if len(name) > _MAX_MODEL or not name.isascii() or not name.isprintable():
        raise InvalidRequestError(
            f"The header {MODEL_HEADER} names a model, in at most {_MAX_MODEL} printable ASCII characters.",
            param=MODEL_HEADER,
        )
    return str(name.strip())


def wants_native(query: QueryDict) -> bool:
    """Return whether the provider's own lines of a batch result are asked for. Raises InvalidRequestError."""
    text = _single(query, "format") if "format" in query else "openai"
    if text not in {"openai", "native"}:
        raise InvalidRequestError("'format' is 'openai' or 'native'.", param="format")
    return text == "native"


def validate_only(query: QueryDict) -> bool:
    """Return whether an upload is only to be checked. Raises InvalidRequestError."""
    text = _single(query, "validate_only") if "validate_only" in query else "false"
    if text not in {"true", "false"}:
        raise InvalidRequestError("'validate_only' is 'true' or 'false'.", param="validate_only")
    return text == "true"


def metadata(request: HttpRequest) -> dict[str, str]:
    """Return the metadata of `x-tfy-metadata`: a JSON object of strings. Raises InvalidRequestError."""
    text = request.META.get("HTTP_X_TFY_METADATA")
    if text is None:
        return {}
    try:
        # WSGI hands headers over as latin-1; JSON on the wire is UTF-8.
        value = json.loads(text.encode("latin-1").decode())
    except (ValueError, RecursionError):
        raise _bad_metadata("is not a JSON object") from None
    if not isinstance(value, dict):
        raise _bad_metadata("is not a JSON object")
    if len(value) > _MAX_METADATA_ENTRIES:
        raise _bad_metadata(f"has more than {_MAX_METADATA_ENTRIES} entries")
    for key, entry in value.items():
        if not isinstance(entry, str):
            raise _bad_metadata(f"has a value that is no string: '{key[:_MAX_METADATA_KEY]}'")
        if not is_storable(key + entry):
            raise _bad_metadata("holds characters that are no text")
        if not 1 <= len(key) <= _MAX_METADATA_KEY or len(entry) > _MAX_METADATA_VALUE:
            raise _bad_metadata(
                f"has a key over {_MAX_METADATA_KEY} or a value over {_MAX_METADATA_VALUE} characters"
            )
    return value


def is_storable(text: str) -> bool:
    """Whether every database can hold the text: no NUL, no half of a character."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def shown_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters as services write them down, with times as the API tells them."""
    times = {name: filters[name] for name in ("created_after", "created_before") if name in filters}
    return {
        **filters,
        **{name: int(datetime.fromisoformat(time).timestamp()) for name, time in times.items()},
    }


def _bad_metadata(problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"The header {METADATA_HEADER} {problem}.", param=METADATA_HEADER)


def sdk_retry_count(request: HttpRequest) -> int:
    """Return which retry of an SDK this is, 0 for a first try."""
    text = request.META.get("HTTP_X_STAINLESS_RETRY_COUNT", "")
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0


def placement(request: HttpRequest) -> dict[str, str]:
    """Return where the client wants the file, by header name; services.placement decides."""
    given = {header: request.headers.get(header, "").strip() for header in PLACEMENT_HEADERS}
    return {header: value for header, value in given.items() if value}


def refuse_unknown(query: QueryDict) -> None:
    """Refuse a list's parameters that nobody reads: a typo would show every file."""
    for name in query:
        if name not in _LIST_PARAMETERS and not _METADATA_FILTER.fullmatch(name):
            raise InvalidRequestError(f"Unknown parameter: '{name[:64]}'.", param=name[:64])


def page_query(query: QueryDict) -> PageQuery:
    """Return which page of a list is asked for. Raises InvalidRequestError naming the first bad parameter."""
    order = _single(query, "order") if "order" in query else "desc"
    if order not in {"asc", "desc"}:
        raise InvalidRequestError("'order' is 'asc' or 'desc'.", param="order")
    return PageQuery(
        # An empty one finds no file: whoever lost the cursor would begin again for ever.
        after=_single(query, "after") if "after" in query else None,
        limit=_limit(_single(query, "limit")),
        ascending=order == "asc",
    )


def filters(request: HttpRequest) -> FileFilters:
    """Return what a list is narrowed to. Raises InvalidRequestError naming the first bad parameter."""
    query = request.GET
    if query.keys() <= _PAGE_PARAMETERS:
        return FileFilters()
    wanted = {match[1]: _single(query, name) for name in query if (match := _METADATA_FILTER.fullmatch(name))}
    if len(wanted) > _MAX_METADATA_ENTRIES:
        raise InvalidRequestError(
            f"A list is filtered by {_MAX_METADATA_ENTRIES} entries of the metadata at most.",
            param="metadata",
        )
    provider = _single(query, "provider") or None
    if provider is not None and provider_name(request) not in {None, provider}:
        raise InvalidRequestError(
            f"The header {PROVIDER_HEADER} and 'provider' name different accounts.", param="provider"
        )
    return FileFilters(
        purpose=_single(query, "purpose") or None,
        provider=provider,
        status=_status(_single(query, "status")),
        filename=_single(query, "filename") or None,
        created_after=_time(query, "created_after"),
        created_before=_time(query, "created_before"),
        metadata=wanted,
    )


def usage_days(query: QueryDict) -> report.Days | None:
    """Return the days of which the usage is asked for; None where none are. Raises InvalidRequestError.

    Without `start` they begin with the month of `end`; without `end` they go on until today.
    """
    start, end = _day(query, "start"), _day(query, "end")
    if start is None and end is None:
        return None
    last = end or report.today()
    days = report.Days(start or last.replace(day=1), last)
    if days.number < 1:
        raise InvalidRequestError("'start' is a day that is not after 'end', or after today.", param="start")
    if days.number > _MAX_USAGE_DAYS:
        raise InvalidRequestError(
            f"'start' and 'end' are at most {_MAX_USAGE_DAYS} days apart: ask for a part at a time.",
            param="start",
        )
    return days


def usage_groups(query: QueryDict) -> list[report.Group]:
    """Return by what else than the day usage is grouped. Raises InvalidRequestError."""
    names = [name for name in _single(query, "group_by").split(",") if name]
    if not set(names) <= _USAGE_GROUPS.keys():
        known = ", ".join(f"'{name}'" for name in _USAGE_GROUPS)
        raise InvalidRequestError(f"'group_by' is some of {known}, with commas between.", param="group_by")
    return [_USAGE_GROUPS[name] for name in names]


def _day(query: QueryDict, name: str) -> date | None:
    text = _single(query, name)
    if not text:
        return None
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(f"'{name}' is a day such as 2026-11-01 (UTC).", param=name) from None


def _single(query: QueryDict, name: str) -> str:
    values = query.getlist(name)
    if len(values) > 1:
        raise InvalidRequestError(f"The parameter '{name[:64]}' was sent twice.", param=name[:64])
    value = values[0] if values else ""
    if "\0" in value or len(value) > 1024:
        raise InvalidRequestError(f"The parameter '{name[:64]}' is not valid.", param=name[:64])
    return str(value)


def _limit(text: str) -> int:
    if not text:
        return _MAX_LIMIT
    limit = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidRequestError(f"'limit' is a whole number from 1 to {_MAX_LIMIT}.", param="limit")
    return limit


def _status(text: str) -> str | None:
    if text and text not in FILE_STATUSES:
        raise InvalidRequestError(f"'status' is one of {', '.join(FILE_STATUSES)}.", param="status")
    return text or None


def _time(query: QueryDict, name: str) -> datetime | None:
    text = _single(query, name)
    if not text:
        return None
    try:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise ValueError(text)
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequestError(f"'{name}' is a time in Unix seconds.", param=name) from None
