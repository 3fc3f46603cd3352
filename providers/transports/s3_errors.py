"""What boto3 raises, and what it means here: the one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from providers.exceptions import (
    CredentialsError,
    InvalidResponseError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
    refusal_of,
)
from providers.transports.objects import exists_error, range_error

_ACCOUNT_AT_FAULT: Final = "The store refuses the provider account's credentials or configuration ({code})."

_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")

#: S3's error code -> ours. Codes read in the S3 API reference and seen on SeaweedFS, 2026-11-23.
_BY_CODE: Final[Mapping[str, type[ProviderError]]] = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "AuthorizationHeaderMalformed",
            "ExpiredToken",
            "InvalidAccessKeyId",
            "InvalidToken",
            "KMS.DisabledException",
            "KMS.NotFoundException",
            "NoSuchBucket",
            "NotImplemented",
            "PermanentRedirect",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
        ),
        CredentialsError,
    ),
    **dict.fromkeys(("NoSuchKey", "NotFound", "404"), RemoteFileNotFoundError),
    **dict.fromkeys(
        ("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"),
        RateLimitedError,
    ),
    **dict.fromkeys(
        ("BadDigest", "ConditionalRequestConflict", "InternalError", "RequestTimeout"),
        ProviderUnavailableError,
    ),
}
_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    301: CredentialsError,
    401: CredentialsError,
    403: CredentialsError,
    404: RemoteFileNotFoundError,
    408: ProviderTimeoutError,
    429: RateLimitedError,
}
#: What the library itself raises -> ours; the first that fits.
_BY_EXCEPTION: Final[tuple[tuple[type[Exception], type[ProviderError], str], ...]] = (
    (exceptions.NoCredentialsError, CredentialsError, "No AWS credentials were found for this account."),
    (exceptions.PartialCredentialsError, CredentialsError, "The account's AWS credentials are incomplete."),
    (exceptions.CredentialRetrievalError, CredentialsError, "The account's AWS credentials cannot be had."),
    (exceptions.ParamValidationError, CredentialsError, "The store's client refuses the request."),
    (exceptions.ConnectTimeoutError, ProviderTimeoutError, "Could not connect to the store in time."),
    (exceptions.ReadTimeoutError, ProviderTimeoutError, "The store did not answer in time."),
    (exceptions.EndpointConnectionError, ProviderUnavailableError, "Could not connect to the store."),
    (exceptions.SSLError, ProviderUnavailableError, "No trustworthy TLS connection to the store."),
    (exceptions.BotoCoreError, ProviderUnavailableError, "The connection to the store broke."),
)


@contextmanager
def s3_errors() -> Iterator[None]:
    """Turn what boto3 raises into a ProviderError; S3's own words stay out, they name users and keys."""
    try:
        yield
    except exceptions.ClientError as exc:
        raise _from_answer(exc) from exc
    except exceptions.HTTPClientError as exc:
        cause = exc.kwargs.get("error")
        raise (cause if isinstance(cause, ProviderError) else _from_library(exc)) from exc
    except exceptions.BotoCoreError as exc:
        raise _from_library(exc) from exc
    except ResponseParserError as exc:
        raise InvalidResponseError("The store's answer makes no sense.") from exc


def _from_answer(exc: exceptions.ClientError) -> ProviderError:
    code = exc.response.get("Error", {}).get("Code", "")
    code = code if _CODE.fullmatch(code) else ""
    answer = exc.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    if code == "PreconditionFailed" or status == 412:
        return exists_error()
    if code == "InvalidRange" or status == 416:
        return range_error()
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or _kind_of(status)
    return kind(
        _message(kind, code),
        status_code=status or None,
        code="bucket_not_found" if code == "NoSuchBucket" else None,
        request_id=answer.get("RequestId"),
    )


def _kind_of(status: int) -> type[ProviderError]:
    if status >= 500:
        return ProviderUnavailableError
    return refusal_of(status) if status >= 400 else InvalidResponseError


def _message(kind: type[ProviderError], code: str) -> str:
    if code == "NoSuchBucket":
        return "The bucket of this provider account does not exist."
    if kind is CredentialsError:
        return _ACCOUNT_AT_FAULT.format(code=code)
    if kind is RemoteFileNotFoundError:
        return "The store does not have the file (any more)."
    return f"The store answered with {code or 'an error'}."


def _from_library(exc: Exception) -> ProviderError:
    kind, message = next((kind, text) for foreign, kind, text in _BY_EXCEPTION if isinstance(exc, foreign))
    never_sent = (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)
    return kind(message, answered=kind is CredentialsError or isinstance(exc, never_sent))
