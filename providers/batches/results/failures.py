"""What failed rows say, as stable codes.

Sources: the error names of bedrock-runtime's service model (botocore 1.44.5) and google.rpc.Code
(github.com/googleapis/googleapis, google/rpc/code.proto), read 2026-11-26.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from providers.batches.results.answers import Failure
from providers.batches.results.values import mapping, text

_MAX_MESSAGE: Final = 4_000

_CODES: Final = {
    400: "invalid_request",
    401: "permission_denied",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "request_too_large",
    422: "invalid_request",
    424: "model_error",
    429: "rate_limit_exceeded",
    499: "cancelled",
    501: "unsupported",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BEDROCK_NAMES: Final = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 429,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}

#: Names of google.rpc.Code in the order of their numbers, from 0.
_GOOGLE_NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_GOOGLE_STATUS: Final = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}

_ANTHROPIC_NAMES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def failure(message: str, status_code: int | None) -> Failure:
    """Return a failure with the code that belongs to a status; one without status is the provider's."""
    if status_code is None:
        code = "provider_error"
    elif status_code >= HTTPStatus.BAD_REQUEST:
        fallback = "server_error" if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
        code = _CODES.get(status_code, fallback)
    else:
        code, status_code = "provider_error", None
    return Failure(code, message[:_MAX_MESSAGE] or "The provider gives no reason.", status_code)


def bedrock_failure(error: object) -> Failure:
    """Return what the `error` of a record says: {"errorCode": number or name, "errorMessage"}."""
    about = mapping(error)
    code, message = about.get("errorCode"), text(about.get("errorMessage"))
    if isinstance(code, str):
        name = code.rpartition("#")[2]
        status = int(name) if name.isascii() and name.isdigit() else _BEDROCK_NAMES.get(name)
    else:
        status = code if isinstance(code, int) and not isinstance(code, bool) else None
    return failure(message or text(error), _http_status(status))


def google_failure(status: object) -> Failure:
    """Return what the `status` of a row says: text, JSON as text behind some words, or an object."""
    about = mapping(status) or _json_in(text(status))
    about = mapping(about.get("error")) or about
    if not about:
        return failure(text(status) or json.dumps(status), _google_name_in(text(status)))
    code = about.get("code")
    known = about.get("status")
    if isinstance(known, str) and known in _GOOGLE_STATUS:
        number: int | None = _GOOGLE_STATUS[known]
    elif isinstance(code, int) and 0 < code < len(_GOOGLE_NAMES):
        number = _GOOGLE_STATUS.get(_GOOGLE_NAMES[code], 500)
    else:
        number = code if isinstance(code, int) else _ANTHROPIC_NAMES.get(text(about.get("type")))
    return failure(text(about.get("message")) or text(status) or json.dumps(status), _http_status(number))


def _http_status(number: int | None) -> int | None:
    return number if number is not None and 100 <= number <= 599 else None


def _json_in(words: str) -> dict[str, object]:
    """Return the object that stands in a text; empty where there is none."""
    start = words.find("{")
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(words, start)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _google_name_in(words: str) -> int | None:
    return next((status for name, status in _GOOGLE_STATUS.items() if name in words), None)
