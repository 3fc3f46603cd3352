"""Every error of the API in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse

from files_app.exceptions import GatewayError
from files_app.observability import context
from files_app.web import error_pages
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderBusyError,
    ProviderConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)

#: The SDKs wait at most this long; above it they would not retry at all.
_MAX_RETRY_AFTER_SECONDS = 120
#: What a client waits for a provider that failed and named no time.
_UNAVAILABLE_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as it goes to the client."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the envelope."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> JsonResponse:
        """Return the answer as Django's response. The request's log line has its code and message."""
        context.note_error(self.code or self.type, self.message)
        return JsonResponse(self.body(), status=self.status, headers=dict(self.headers))


def answer_for_gateway_error(error: GatewayError) -> ErrorAnswer:
    """Return the answer to one of our own errors."""
    headers = _retry_headers(error.retry_after_seconds)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.closes_connection:
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="files"'
    return ErrorAnswer(error.status, error.message, error.type, error.param, error.code, headers)


def answer_for_provider_error(error: ProviderError) -> ErrorAnswer:
    """Return the answer to a provider's error.

    A provider's own 4xx keeps its status and words; a refused credential or configuration is ours to repair,
    not the client's; whatever the provider did wrong is 502 or 504, and 503 where waiting helps.
    """
    status, kind, code, should_retry = _translation(error)
    seconds = error.retry_after_seconds
    if seconds is None and isinstance(error, ProviderUnavailableError):
        seconds = _UNAVAILABLE_RETRY_SECONDS
    headers = _retry_headers(seconds)
    if should_retry is not None:
        headers["x-should-retry"] = "true" if should_retry else "false"
    if error.request_id and error.request_id.isascii() and error.request_id.isprintable():
        headers["x-provider-request-id"] = error.request_id
    message = error.message
    if isinstance(error, CredentialsError):
        message = (
            f"The provider account '{error.provider}' was not accepted by its provider: ask the operator of "
            f"the gateway to check its credentials and what they may do. The provider says: {error.message}"
        )
    elif isinstance(error, ConfigurationRefusedError):
        message = (
            f"The provider account '{error.provider}' cannot be used as it is set up: ask the operator of "
            f"the gateway. The provider says: {error.message}"
        )
    return ErrorAnswer(status, message, kind, error.param, code, headers)


def _translation(error: ProviderError) -> tuple[int, str, str | None, bool | None]:
    match error:
        case UnsupportedOperationError():
            return 400, "invalid_request_error", "unsupported_operation", False
        case CredentialsError():
            return 502, "server_error", "provider_auth_error", False
        case ConfigurationRefusedError():
            return 502, "server_error", _configuration_code(error), False
        case RemoteFileNotFoundError():
            return 404, "invalid_request_error", error.code, None
        case RateLimitedError():
            return 429, "rate_limit_error", error.code or "rate_limit_exceeded", None
        case FileRejectedError():
            return _rejection(error)
        case ProviderTimeoutError():
            return 504, "server_error", "provider_timeout", None
        case ProviderBusyError():
            return 503, "server_error", "provider_busy", None
        case ProviderUnavailableError() if error.code == "storage_full":
            return 503, "server_error", "storage_full", None  # the disk is the gateway's own
        case ProviderUnavailableError():
            return 502, "server_error", error.code or "provider_unavailable", None
        case InvalidResponseError():
            return 502, "server_error", "bad_provider_response", False
        case _:
            return 502, "server_error", error.code or "provider_error", False


def _configuration_code(error: ConfigurationRefusedError) -> str:
    return "bucket_not_found" if error.code == "bucket_not_found" else "provider_configuration_error"


def _rejection(error: FileRejectedError) -> tuple[int, str, str | None, bool | None]:
    status = error.status_code or 400
    if status == 402:
        return 429, "insufficient_quota", error.code or "insufficient_quota", False
    if status in {415, 422}:
        return 400, "invalid_request_error", error.code, False
    return status, "invalid_request_error", error.code, False


def answer_for_configuration_error(error: ProviderConfigurationError) -> ErrorAnswer:
    """Return the answer when an account cannot work; details are for the log, not for the client."""
    return ErrorAnswer(
        502,
        "The provider account is not configured correctly: ask the operator of the gateway.",
        "server_error",
        code="provider_configuration_error",
        headers={"x-should-retry": "false"},
    )


MALFORMED_REQUEST = ErrorAnswer(400, "The request is malformed.")
SERVER_ERROR = ErrorAnswer(500, "The gateway failed to serve this request.", "server_error")
DATABASE_UNAVAILABLE = ErrorAnswer(
    503,
    "The gateway's database is not available now. Try again.",
    "server_error",
    code="database_unavailable",
    headers={"Retry-After": "2"},
)
DATABASE_FULL = ErrorAnswer(
    503,
    "The disk of the gateway's database is full. Files can be read; try again later to change them.",
    "server_error",
    code="storage_full",
    headers={"Retry-After": "30"},
)


def _retry_headers(seconds: float | None) -> dict[str, str]:
    if seconds is None:
        return {}
    return {"Retry-After": str(min(_MAX_RETRY_AFTER_SECONDS, max(0, math.ceil(seconds))))}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses before a view runs: a bad host, too many fields."""
    if isinstance(exception, DisallowedHost):
        return _unknown_host(request)
    if is_admin_path(request):
        return error_pages.bad_request()
    return MALFORMED_REQUEST.response()


def _unknown_host(request: HttpRequest) -> HttpResponse:
    if is_admin_path(request) or "text/html" in request.headers.get("Accept", ""):
        return error_pages.unknown_host(request)
    message = "The gateway does not serve this host name: its operator lists those it has in ALLOWED_HOSTS."
    return ErrorAnswer(400, message, param="Host").response()


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer Django's 403."""
    if is_admin_path(request):
        return error_pages.permission_denied()
    return ErrorAnswer(403, "This is not allowed.", "permission_error", code="permission_denied").response()


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without its token; outside of the admin there are no forms."""
    if is_admin_path(request):
        return error_pages.csrf_failure(request)
    return ErrorAnswer(403, "This is not allowed.", "permission_error", code="permission_denied").response()


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that does not exist."""
    if is_admin_path(request):
        return error_pages.not_found()
    return ErrorAnswer(
        404, f"Unknown request URL: {request.method} {request.path[:200]}.", code="unknown_url"
    ).response()


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what nobody foresaw."""
    return error_pages.server_error() if is_admin_path(request) else SERVER_ERROR.response()


def is_admin_path(request: HttpRequest) -> bool:
    """Whether people read the answer instead of programs."""
    return request.path.startswith(f"/{settings.ADMIN_PATH}")
