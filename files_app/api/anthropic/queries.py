"""Reads the query of a list in Anthropic's dialect, in the form of today or that of the old beta."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, QueryDict

from files_app.exceptions import InvalidRequestError
from files_app.services.reading.listing import PageQuery

LEGACY_BETA: Final = "files-api-2025-04-14"
_PAGE_PREFIX: Final = "page_"
_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1_000
_MAX_IDS: Final = 100
#: `beta=true` is how the SDKs tell their own routes apart.
_NAMES: Final = frozenset({"limit", "page", "ids[]", "beta"})
_LEGACY_NAMES: Final = frozenset({"limit", "before_id", "after_id", "beta"})


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which files are asked for: these ids, or else a page.

    is_backwards: the page ends in front of the cursor.
    """

    page: PageQuery
    ids: frozenset[str] = frozenset()
    is_backwards: bool = False


def is_legacy(request: HttpRequest) -> bool:
    """Whether the client asks for the shapes of the old beta."""
    betas = request.headers.get("anthropic-beta", "").split(",")
    return LEGACY_BETA in {beta.strip() for beta in betas}


def list_query(request: HttpRequest) -> ListQuery:
    """Return what a list asks for. Raises InvalidRequestError."""
    query, legacy = request.GET, is_legacy(request)
    _check_names(query, _LEGACY_NAMES if legacy else _NAMES)
    limit = _limit(query)
    if legacy:
        return _legacy_query(query, limit)
    if ids := frozenset(query.getlist("ids[]")):
        if len(ids) > _MAX_IDS or query.keys() & {"page", "limit"}:
            raise InvalidRequestError(
                f"ids: at most {_MAX_IDS}, and not together with page or limit.", param="ids"
            )
        return ListQuery(PageQuery(limit=_MAX_IDS), ids)
    cursor = query.get("page")
    return ListQuery(PageQuery(after=_file_id_in(cursor) if cursor else None, limit=limit))


def page_token(file_id: str) -> str:
    """Return the opaque cursor of the page behind a file."""
    return _PAGE_PREFIX + base64.urlsafe_b64encode(file_id.encode()).decode().rstrip("=")


def _check_names(query: QueryDict, known: frozenset[str]) -> None:
    for name, values in query.lists():
        if name not in known:
            raise InvalidRequestError(f"{name[:64]}: this parameter is not known.", param=name[:64])
        if name != "ids[]" and len(values) > 1:
            raise InvalidRequestError(f"{name}: it was sent twice.", param=name)
        if any("\0" in value for value in values):  # PostgreSQL refuses to be asked for it
            raise InvalidRequestError(f"{name}: it is not valid.", param=name)


def _legacy_query(query: QueryDict, limit: int) -> ListQuery:
    before, after = query.get("before_id"), query.get("after_id")
    if before and after:
        raise InvalidRequestError("before_id, after_id: send one of them.", param="before_id")
    page = PageQuery(after=before or after or None, limit=limit, ascending=bool(before))
    return ListQuery(page, is_backwards=bool(before))


def _limit(query: QueryDict) -> int:
    text = query.get("limit", str(_DEFAULT_LIMIT))
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidRequestError(f"limit: must be a whole number from 1 to {_MAX_LIMIT}.", param="limit")
    return limit


def _file_id_in(token: str) -> str:
    encoded = token.removeprefix(_PAGE_PREFIX)
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        file_id = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        file_id = ""
    if not token.startswith(_PAGE_PREFIX) or not file_id.isprintable() or not file_id:
        raise InvalidRequestError("page: it is none that a list has answered.", param="page")
    return file_id
