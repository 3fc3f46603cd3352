"""Every error of Anthropic's dialect in its envelope: `{"type": "error", "error": {...}, "request_id"}`."""

from __future__ import annotations

from typing import Any, Final

from django.http import JsonResponse

from files_app.observability import context
from files_app.web.errors import ErrorAnswer
from files_app.web.exception_handler import answer_for

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
#: Ours -> Anthropic's own, of which its SDK makes a class.
_CONTENT_CODES: Final = {"unsupported_operation": "file_not_downloadable"}


def exception_handler(exc: Exception, view_context: dict[str, Any]) -> JsonResponse:
    """Return the envelope for any exception that a view raised."""
    return envelope(answer_for(exc), is_content=view_context["view"].action == "content")


def envelope(answer: ErrorAnswer, *, is_content: bool = False) -> JsonResponse:
    """Return an error as Anthropic would say it; our code, where there is one, is its `error_code`."""
    other = "api_error" if answer.status >= 500 else "invalid_request_error"
    error: dict[str, Any] = {"type": _TYPES.get(answer.status, other), "message": answer.message}
    code = _CONTENT_CODES.get(answer.code or "", answer.code) if is_content else answer.code
    if code:
        error["details"] = {"error_code": code}
    context.note_error(code or error["type"], answer.message)
    body = {"type": "error", "error": error, "request_id": context.request_id()}
    return JsonResponse(body, status=answer.status, headers=dict(answer.headers))
