"""What the gateway itself has to say about a request that cannot be served.

GatewayError                     status, message, type, param, code, should_retry, retry_after_seconds,
                                 closes_connection
 |- InvalidRequestError          400
 |   `- BodyIncompleteError      400: the body ended before it was complete; the client may be gone
 |       `- BodyStalledError     408: the body stopped coming
 |- InvalidKeyError              401
 |- NotAllowedError              403
 |   `- QuotaExceededError       403, never worth a retry
 |- FileNotFoundInIndexError     404, the same for unknown and foreign ids
 |- JobNotFoundError             404, the same for unknown and foreign ids
 |- ConflictError                409, with Retry-After: only for a request that is still running
 |- TooEarlyError                409: what is asked for is being made
 |- FileHeldError                409: a legal hold keeps the file; never worth a retry
 |- FileTooLargeError            413
 |- UnprocessableError           422
 |- TooManyRequestsError         429
 |   `- NoPlaceError             429: all are taken; the rest of the body is not read either
 `- TemporaryError               503
     `- OverloadedError          503: too many requests of the kind are served; this one was not begun

Providers' errors are in `providers.exceptions`; the API's exception handler knows both.
"""

from __future__ import annotations


class GatewayError(Exception):
    """An answer that is no success. `should_retry` None leaves the decision to the client's own rules."""

    status = 400
    type = "invalid_request_error"
    code: str | None = None
    should_retry: bool | None = None
    #: Whether the rest of the body is not worth a thread: the connection ends with the answer.
    closes_connection = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.retry_after_seconds = retry_after_seconds


class InvalidRequestError(GatewayError):
    """The request can never work as it is."""


class BodyIncompleteError(InvalidRequestError):
    """The body ended early."""

    code = "incomplete_body"


class BodyStalledError(BodyIncompleteError):
    """The client stopped sending, and kept its connection."""

    status = 408
    code = "request_timeout"
    closes_connection = True


class InvalidKeyError(GatewayError):
    """No key, or none that we know: the answer does not say which."""

    status = 401
    code = "invalid_api_key"
    should_retry = False


class NotAllowedError(GatewayError):
    """The key is good, but not for this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"
    should_retry = False


class QuotaExceededError(NotAllowedError):
    """The organization's storage is full."""

    type = "insufficient_quota"
    code = "storage_quota_exceeded"


class FileNotFoundInIndexError(GatewayError):
    """The organization has no such file."""

    status = 404

    def __init__(self, file_id: str) -> None:
        super().__init__(f"No such File object: {file_id}", param="id")


class JobNotFoundError(GatewayError):
    """The organization has no such job, or its report is forgotten."""

    status = 404

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No such job: {job_id[:64]}. Reports are kept for 30 days.", param="id")


class ConflictError(GatewayError):
    """The same request is still running."""

    status = 409


class TooEarlyError(GatewayError):
    """What is asked for is still being made."""

    status = 409


class FileHeldError(GatewayError):
    """A legal hold keeps the file. Whose it is and why is not the client's to know."""

    status = 409
    code = "file_on_hold"
    should_retry = False

    def __init__(self, file_id: str) -> None:
        super().__init__(
            f"The file '{file_id}' is on legal hold: it cannot be deleted, nor can its expiry be set. Ask "
            "the operator of the gateway, who can lift the hold.",
            param="id",
        )


class FileTooLargeError(GatewayError):
    """The file is over a limit."""

    status = 413
    code = "file_too_large"
    should_retry = False


class UnprocessableError(GatewayError):
    """The request contradicts an earlier one."""

    status = 422


class TooManyRequestsError(GatewayError):
    """The client has to slow down."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class NoPlaceError(TooManyRequestsError):
    """Every place for a request like this one is taken."""

    closes_connection = True


class TemporaryError(GatewayError):
    """The gateway cannot serve this now."""

    status = 503
    type = "server_error"


class OverloadedError(TemporaryError):
    """Everything that may serve a request like this one is busy; nothing of it was begun."""

    code = "gateway_busy"
