"""Pages of other origins: those in CORS_ALLOWED_ORIGINS may use the API, the others are told why not."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from files_app.web.errors import ErrorAnswer

_MAX_SHOWN = 200


class CrossOriginMiddleware(CorsMiddleware):
    """The library answers every preflight with success, and leaves the headers out to refuse it."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Do without what the library looks up for each request where none of it is at stake."""
        if "HTTP_ORIGIN" in request.META or request.method == "OPTIONS":
            return cast(HttpResponseBase, super().__call__(request))
        response = self.get_response(request)
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))  # type: ignore[arg-type]  # never async: the service is WSGI
        return cast(HttpResponseBase, response)

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        """Return the answer to a preflight, None for any other request."""
        answer = super().check_preflight(request)
        if answer is None or self._is_allowed(request.headers.get("Origin", "")):
            return answer
        return _refusal(request.headers.get("Origin", ""))

    def _is_allowed(self, origin: str) -> bool:
        try:
            return self.origin_found_in_white_lists(origin, urlsplit(origin))
        except ValueError:
            return False


def _refusal(origin: str) -> HttpResponseBase:
    return ErrorAnswer(
        403,
        f"Pages of the origin '{origin[:_MAX_SHOWN]}' may not use this API: the operator of the gateway "
        "lists those that may in CORS_ALLOWED_ORIGINS.",
        "permission_error",
        param="Origin",
        code="origin_not_allowed",
    ).response()
