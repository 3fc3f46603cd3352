"""The selected files as one archive, streamed to the browser."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from files_app.admin.pages import not_possible
from files_app.admin.requests import caller_of, reach_for
from files_app.exceptions import GatewayError
from files_app.models import File
from files_app.services.reading.archives import archive_of
from files_app.web.content import archive_response
from providers.exceptions import ProviderConfigurationError, ProviderError


def archive_files(model_admin: Any, request: HttpRequest, rows: QuerySet[File]) -> HttpResponseBase:
    """Answer with the selected files as a tar; those of unknown size are named in it instead."""
    files = rows.select_related("organization", "account__organization").order_by("indexed_at", "pk")
    try:
        archive = archive_of(files.iterator(chunk_size=200))
        opened = archive.open(caller=caller_of(request, reach_for(request).only))
    except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
        return not_possible(request, "These files cannot be downloaded as one", exc, model_admin.opts)
    return archive_response(f"files-{timezone.now():%Y%m%d-%H%M%S}.tar", opened)


archive_files.short_description = "Download as one archive"  # type: ignore[attr-defined]  # how Django marks actions
archive_files.allowed_permissions = ["content"]  # type: ignore[attr-defined]
archive_files.command = "files archive"  # type: ignore[attr-defined]
