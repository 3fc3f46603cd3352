"""The files of an organization as Anthropic's clients see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from files_app.api.anthropic import errors, queries
from files_app.api.anthropic.pagination import AnthropicPagination
from files_app.api.anthropic.serializers import file_metadata
from files_app.api.viewsets import FileViewSet
from files_app.models import File, ProviderAccount
from files_app.observability import context
from files_app.services.accounts.drivers import driver_for
from files_app.services.index.file_objects import ListedFile
from files_app.streams.anthropic_form import AnthropicFormReader
from files_app.web.errors import ErrorAnswer
from providers.exceptions import ProviderConfigurationError
from providers.objects import Capabilities

_VERSION_HEADER = "HTTP_ANTHROPIC_VERSION"  # as WSGI writes it: Django's `headers` are made for each request


def speaks_anthropic(request: HttpRequest) -> bool:
    """Whether a request is in Anthropic's dialect."""
    return _VERSION_HEADER in request.META


class AnthropicFileViewSet(FileViewSet):
    """Says otherwise what `FileViewSet` does."""

    pagination_class = AnthropicPagination  # type: ignore[assignment]  # another kind of page
    form_reader = AnthropicFormReader
    dialect = "anthropic-files"

    def check_query(self, request: Request) -> None:
        queries.list_query(request)

    def represent(self, file: File | ListedFile) -> Mapping[str, Any]:
        can = self._capabilities_of(file.account)
        downloadable = can is not None and can.gives_content(file.purpose)
        return file_metadata(file, downloadable=downloadable, legacy=queries.is_legacy(self.request))

    def represent_deleted(self, file: File) -> Mapping[str, Any]:
        return {"id": file.file_id, "type": "file_deleted"}

    def refuse(self, answer: ErrorAnswer) -> HttpResponse:
        return errors.envelope(answer)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        """Return what makes an answer of an exception."""
        return errors.exception_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Name the request as Anthropic does."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["request-id"] = context.request_id()
        return response

    def _capabilities_of(self, account: ProviderAccount) -> Capabilities | None:
        """Return what an account can do, None for one that is misconfigured."""
        if account.pk not in self._known_capabilities:
            try:
                self._known_capabilities[account.pk] = driver_for(account).capabilities
            except ProviderConfigurationError:
                self._known_capabilities[account.pk] = None
        return self._known_capabilities[account.pk]

    @cached_property
    def _known_capabilities(self) -> dict[int, Capabilities | None]:
        return {}
