"""Turns a provider's error answer, in any of the shapes seen in the wild, into a ProviderError."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
)
from providers.objects import ALL_OPERATIONS, JSONObject, JSONValue, Operation
from providers.parsing import retry_after_seconds
from providers.transports.http import Response

#: What is read of a text. The driver's door cuts it shorter, once it has struck out what is secret: a secret
#: that is cut in two would not be found.
_MAX_READ_CHARACTERS = 8_000


class _Row(NamedTuple):
    """What statuses mean in some operations; an answer's first row counts."""

    statuses: Container[int]
    kind: type[ProviderError]
    operations: frozenset[Operation] = ALL_OPERATIONS


#: Whose fault an answer is. The client's are only what another file or other fields could have changed: the
#: gateway made everything else of the request, from the account.
_TABLE: Final = (
    _Row({401, 403}, CredentialsError),
    _Row({404, 410}, ConfigurationRefusedError, frozenset({Operation.CREATE, Operation.LIST})),
    _Row({404, 410}, RemoteFileNotFoundError),
    _Row({409}, ProviderBusyError, frozenset({Operation.DELETE})),  # the file is in use just now
    _Row({423, 425}, ProviderBusyError),
    _Row({416}, FileRejectedError, frozenset({Operation.CONTENT})),
    _Row({400, 402, 409, 413, 415, 422}, FileRejectedError),
    _Row({408, 504}, ProviderTimeoutError),
    _Row({429}, RateLimitedError),
    _Row(range(400, 500), ConfigurationRefusedError),  # 405, 406, 411 and others: not this endpoint
    _Row(range(500, 1_000), ProviderUnavailableError),
    _Row(range(400), InvalidResponseError),  # a redirect or an informational answer where none belongs
)

#: Google writes the largest int64 where waiting will not help (Gemini's storage quota, read 2026-11-23).
_LONGEST_RETRY_DELAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What an error body says; None where it does not."""

    message: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after_seconds: float | None = None


def parse_error_body(text: str) -> ErrorDetails:
    """Read an error body. The first shape that matches wins.

    Shapes (read 2026-11-23): `{"error": {...}}` with Anthropic's and Google's `details` in it,
    `{"error": "text", "code"}`, FastAPI's `{"detail": ...}`, `{"base_resp": {...}}`, a flat
    `{"message": ...}`, a bare JSON string, plain text. A page of HTML says nothing.
    """
    try:
        return _from_json(json.loads(text))
    except RecursionError:
        return ErrorDetails()
    except ValueError:
        plain = text.strip()
        return ErrorDetails() if not plain or plain.startswith("<") else ErrorDetails(_clip(plain))


def _from_json(body: JSONValue) -> ErrorDetails:
    if isinstance(body, str):
        return ErrorDetails(_clip(body)) if body else ErrorDetails()
    if isinstance(body, list):  # Google's APIs wrap an error in a list on some paths
        return _from_json(body[0]) if body else ErrorDetails()
    if not isinstance(body, Mapping):
        return ErrorDetails()
    error, detail, base = body.get("error"), body.get("detail"), body.get("base_resp")
    if isinstance(error, Mapping):
        return _from_object(error)
    if isinstance(error, str):
        return ErrorDetails(_clip(error), _text(body.get("code")))
    if detail is not None:
        return _from_detail(detail, body)
    if isinstance(base, Mapping):
        return ErrorDetails(_clip(_text(base.get("status_msg"))), _text(base.get("status_code")))
    return _from_object(body)


def _from_object(error: Mapping[str, JSONValue]) -> ErrorDetails:
    message = _text(error.get("message")) or _text(error.get("msg")) or _text(error.get("error"))
    return ErrorDetails(
        _clip(message),
        _specific_code(error) or _text(error.get("code")) or _text(error.get("type")),
        _text(error.get("param")) or _text(error.get("target")),
        _retry_delay(error.get("details")),
    )


def _specific_code(error: Mapping[str, JSONValue]) -> str | None:
    """Return what says more than `code` and `type`.

    Anthropic: `details.error_code`. Google: the `reason` of an ErrorInfo among `details`, else `status`;
    the `code` beside it only repeats the HTTP status.
    """
    details = error.get("details")
    if isinstance(details, Mapping):
        return _text(details.get("error_code"))
    reason = next((found for each in _objects(details) if (found := _text(each.get("reason")))), None)
    return reason or (_text(error.get("status")) if isinstance(error.get("code"), int) else None)


def _retry_delay(details: JSONValue) -> float | None:
    """Return the `retryDelay` of google.rpc.RetryInfo, a decimal number and `s`."""
    for each in _objects(details):
        found = re.fullmatch(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)s", _text(each.get("retryDelay")) or "")
        if found and float(found[1]) <= _LONGEST_RETRY_DELAY_SECONDS:
            return float(found[1])
    return None


def _objects(value: JSONValue) -> list[JSONObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _from_detail(detail: JSONValue, body: Mapping[str, JSONValue]) -> ErrorDetails:
    if isinstance(detail, str):
        return ErrorDetails(_clip(_text(body.get("message")) or detail), _text(body.get("code")))
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        location = detail[0].get("loc")
        param = str(location[-1]) if isinstance(location, list) and location else None
        return ErrorDetails(_clip(_text(detail[0].get("msg"))), None, param)
    return _from_json(detail)


def _text(value: JSONValue) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    return str(value)[:_MAX_READ_CHARACTERS]


def _clip(message: str | None) -> str | None:
    """Return a provider's words as one piece of text, in which no other line can be forged."""
    if message is None:
        return None
    clean = "".join(c if c.isprintable() or c in "\n\t" else " " for c in message).strip()
    return clean[:_MAX_READ_CHARACTERS] or None


def error_from_response(
    response: Response,
    *,
    operation: Operation,
    missing_statuses: frozenset[int] = frozenset(),
    kind_of: Callable[[int, ErrorDetails], type[ProviderError] | None] = lambda status, details: None,
) -> ProviderError:
    """Read and close an answer that is not a success, and return the error that it means.

    missing_statuses: what says that the file is gone, besides 404 and 410 in an operation on a file.
    kind_of: what this provider means by a status and a body, None where the status says it.
    """
    try:
        details = parse_error_body(response.body().decode("utf-8", "replace"))
    except (InvalidResponseError, ProviderUnavailableError):
        details = ErrorDetails()  # the status still says enough
    kind = kind_of(response.status, details) or _classify(operation, response.status, missing_statuses)
    return _built(kind, details, response)


def error_in_success(body: JSONObject, response: Response, *, success_code: str = "") -> ProviderError | None:
    """Return the error that a 2xx answer holds, None when it holds none.

    Shapes (read 2026-11-23): an `error` member in place of the object, MiniMax's `base_resp`, and a `code`
    that is not `success_code`, where the provider has one (SiliconFlow 20000, Novita "200"). A number from
    400 to 599 among them is taken for the status that was meant; without one the answer is only invalid.
    """
    error, base, code = body.get("error"), body.get("base_resp"), body.get("code")
    found: tuple[JSONValue, ...]
    if error and body.get("id") is None:
        inner = error if isinstance(error, Mapping) else body
        found = (inner.get("status"), inner.get("code"), inner.get("type"))
    elif isinstance(base, Mapping) and str(base.get("status_code", 0)) != "0":
        found = (base.get("status_code"),)
    elif success_code and code is not None and str(code) != success_code:
        found = (code,)
    else:
        return None
    status = next((_STATUS_WORDS[word] for value in found if (word := str(value)) in _STATUS_WORDS), None)
    kind = InvalidResponseError if status is None else _classify(Operation.RETRIEVE, status)
    return _built(kind, _from_json(body), response)


#: Words and numbers in an error body that say which status was meant.
_STATUS_WORDS = {
    **{str(status): status for status in range(400, 600)},
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "not_found_error": 404,
    "not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}


def _built(kind: type[ProviderError], details: ErrorDetails, response: Response) -> ProviderError:
    return kind(
        details.message or _reason(response.status),
        status_code=response.status,
        code=details.code,
        param=details.param,
        request_id=response.request_id,
        retry_after_seconds=_retry_after(response, details) if kind.retryable else None,
    )


def _retry_after(response: Response, details: ErrorDetails) -> float | None:
    seconds = retry_after_seconds(response.headers)
    return details.retry_after_seconds if seconds is None else seconds


def _classify(
    operation: Operation, status: int, missing_statuses: Container[int] = frozenset()
) -> type[ProviderError]:
    if status in missing_statuses:
        return RemoteFileNotFoundError
    return next(row.kind for row in _TABLE if status in row.statuses and operation in row.operations)


def _reason(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "an unknown status"
    return f"The provider answered {status} ({phrase})."
