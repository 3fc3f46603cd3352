"""The filters of a list: OpenAI's `purpose`, and ours."""

from __future__ import annotations

from typing import Any, cast

from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from files_app.api import parameters
from files_app.api.authentication import caller_of
from files_app.models.files import FileQuerySet
from files_app.services.reading.listing import matching


class FileFilter(BaseFilterBackend):
    """Keeps the files that clients can see and that the query asks for."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the matching files. Raises InvalidRequestError naming the first bad parameter."""
        return matching(
            cast(FileQuerySet, queryset), caller_of(request).organization_id, parameters.filters(request)
        )
