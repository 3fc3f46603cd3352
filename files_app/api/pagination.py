"""OpenAI's pages: `after`, `limit`, `order`, and an always present `has_more`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.pagination import BasePagination
from rest_framework.request import Request

from files_app.api import parameters
from files_app.api.answers import json_answer
from files_app.services.reading.listing import FilePage, page_of


class FilePagination(BasePagination):
    """Pages by keyset: the millionth file costs what the first does."""

    page: FilePage

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the files of the page that the request asks for. Raises InvalidRequestError.

        queryset: a FileSelection.
        """
        self.page = page_of(queryset, parameters.page_query(request.query_params))
        return self.page.files

    def get_paginated_response(self, data: Any) -> HttpResponse:  # type: ignore[override]  # made at once
        """Return the page in OpenAI's envelope."""
        files = self.page.files
        return json_answer(
            {
                "object": "list",
                "data": data,
                "first_id": files[0].file_id if files else None,
                "last_id": files[-1].file_id if files else None,
                "has_more": self.page.has_more,
            }
        )
