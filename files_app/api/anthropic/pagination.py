"""Pages of a list in Anthropic's dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from django.http import HttpResponse
from rest_framework.pagination import BasePagination
from rest_framework.request import Request

from files_app.api.answers import json_answer
from files_app.api.anthropic import queries
from files_app.exceptions import InvalidRequestError
from files_app.services.reading.listing import FilePage, FileSelection, page_of


class AnthropicPagination(BasePagination):
    """Pages by keyset: `page` and `next_page`, or in the old beta the ids of files and `has_more`."""

    page: FilePage
    is_legacy: bool

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the files that the request asks for, newest first. Raises InvalidRequestError.

        queryset: a FileSelection.
        """
        query, selection = queries.list_query(request), cast(FileSelection, queryset)
        self.is_legacy = queries.is_legacy(request)
        try:
            self.page = page_of(replace(selection, ids=query.ids), query.page)
        except InvalidRequestError as exc:
            raise InvalidRequestError("The cursor is not one of a file in this list.") from exc
        return self.page.files[:: -1 if query.is_backwards else 1]

    def get_paginated_response(self, data: Any) -> HttpResponse:  # type: ignore[override]  # made at once
        """Return the page in Anthropic's envelope."""
        shown = cast(Sequence[dict[str, Any]], data)
        first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
        has_more = self.page.has_more
        if self.is_legacy:
            return json_answer({"data": shown, "has_more": has_more, "first_id": first, "last_id": last})
        next_page = queries.page_token(last) if has_more and last else None
        return json_answer({"data": shown, "next_page": next_page})
