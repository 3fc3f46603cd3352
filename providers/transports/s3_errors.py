"""What boto3 raises, and what it means here: the one table."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from botocore import exceptions
from botocore.hooks import BaseEventHooks
from botocore.parsers import ResponseParserError
from requests.structures import CaseInsensitiveDict

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
from providers.parsing import retry_after_seconds
from providers.transports.objects import archived_error, exists_error, range_error
from providers.transports.proxies import proxy_refusal

_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")

_CREDENTIALS: Final = (
    "The store does not accept the provider account's credentials, or they may not do this ({})."
)
_BUCKET: Final = "The store does not do this for the account's bucket as it is set up ({})."
_KEY: Final = "The encryption key of the bucket or the account cannot be used ({})."
_PLACE: Final = "The bucket is not where the provider account says: region or endpoint are wrong ({})."
_WAIT: Final = "The store is busy with this file or bucket ({})."
_ERROR: Final = "The store answered with {}."
_GONE: Final = "The store does not have the file (any more)."

_Meaning: TypeAlias = tuple[type[ProviderError], str]

#: Whose fault an answer is: S3's error code -> ours, and words for the code. Only a size, metadata and a
#: range can be the client's. Codes read in the S3 API reference and seen on SeaweedFS, 2026-11-23. The codes
#: of KMS come with a prefix, for which `_meaning` has the last word.
_BY_CODE: Final[Mapping[str, _Meaning]] = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "ExpiredToken",
            "InvalidAccessKeyId",
            "InvalidToken",
            "SignatureDoesNotMatch",
        ),
        (CredentialsError, _CREDENTIALS),
    ),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"),
        (ConfigurationRefusedError, _PLACE),
    ),
    "RequestTimeTooSkewed": (
        ConfigurationRefusedError,
        "The clock of the gateway's host differs too much from the store's ({}).",
    ),
    "NotImplemented": (ConfigurationRefusedError, "The store lacks a feature that this needs ({})."),
    "InvalidBucketState": (ConfigurationRefusedError, _BUCKET),
    **dict.fromkeys(("NoSuchKey", "NotFound"), (RemoteFileNotFoundError, _GONE)),
    **dict.fromkeys(
        (
            "KMS.ThrottlingException",
            "RequestLimitExceeded",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        (RateLimitedError, "The store asks to slow down ({})."),
    ),
    **dict.fromkeys(
        (
            "BadDigest",
            "InternalError",
            "KMS.DependencyTimeoutException",
            "KMS.KMSInternalException",
            "NoSuchUpload",
            "RequestTimeout",
        ),
        (ProviderUnavailableError, _ERROR),
    ),
}
_BY_STATUS: Final[tuple[tuple[Container[int], _Meaning], ...]] = (
    ({301, 307}, (ConfigurationRefusedError, _PLACE)),
    ({401, 403}, (CredentialsError, _CREDENTIALS)),
    ({404}, (RemoteFileNotFoundError, _GONE)),
    ({408}, (ProviderTimeoutError, _ERROR)),
    ({409}, (ProviderBusyError, _WAIT)),
    ({429}, (RateLimitedError, "The store asks to slow down ({}).")),
    (range(400, 500), (ConfigurationRefusedError, _BUCKET)),
    (range(500, 1_000), (ProviderUnavailableError, _ERROR)),
    (range(400), (InvalidResponseError, _ERROR)),
)
#: What is about an object that is there; only there can it be gone.
_ABOUT_OBJECT: Final = frozenset(
    {"DeleteObject", "GetObject", "GetObjectTagging", "HeadObject", "PutObjectTagging"}
)
#: What is written only where no object is yet.
_CONDITIONAL: Final = frozenset({"PutObject", "CompleteMultipartUpload"})
#: S3's error code -> status, code and words for a file that it does not take.
_REFUSED_FILES: Final[Mapping[str, tuple[int, str, str]]] = {
    "EntityTooLarge": (413, "file_too_large", "The store does not take so large a file."),
    "MetadataTooLarge": (400, "metadata_too_large", "The store cannot hold so much metadata."),
}
#: Of an attempt that no connection could be made for.
_NEVER_SENT: Final = (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)
_WAS_SENT: Final = "files_gateway_was_sent"
#: What the library itself raises -> ours; the first that fits.
_BY_EXCEPTION: Final[tuple[tuple[type[Exception], type[ProviderError], str], ...]] = (
    (exceptions.NoCredentialsError, CredentialsError, "No AWS credentials were found for this account."),
    (exceptions.PartialCredentialsError, CredentialsError, "The account's AWS credentials are incomplete."),
    (exceptions.CredentialRetrievalError, CredentialsError, "The account's AWS credentials cannot be had."),
    (
        exceptions.ParamValidationError,
        ConfigurationRefusedError,
        "The store's client refuses the account's options.",
    ),
    (exceptions.ConnectTimeoutError, ProviderTimeoutError, "Could not connect to the store in time."),
    (exceptions.ReadTimeoutError, ProviderTimeoutError, "The store did not answer in time."),
    (exceptions.EndpointConnectionError, ProviderUnavailableError, "Could not connect to the store."),
    (exceptions.ProxyConnectionError, ProviderUnavailableError, proxy_refusal("the store")),
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
    found = exc.response.get("Error", {}).get("Code", "")
    answer = exc.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    # An answer without a body, as to HEAD, has the status in the place of the code.
    code = found if _CODE.fullmatch(found) and not found.isdigit() else ""
    if (error := _clients_fault(exc.operation_name, code, status)) is not None:
        return error
    kind, words = _meaning(exc.operation_name, code, status)
    is_bucket = code == "NoSuchBucket"
    return kind(
        "The bucket of this provider account does not exist." if is_bucket else words.format(code or status),
        status_code=status or None,
        code="bucket_not_found" if is_bucket else None,
        request_id=answer.get("RequestId"),
        retry_after_seconds=_retry_after(answer.get("HTTPHeaders", {})) if kind.retryable else None,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    return retry_after_seconds(CaseInsensitiveDict(headers))


def _clients_fault(action: str, code: str, status: int) -> FileRejectedError | None:
    """Return the error where S3 refuses what the client chose, or a file for what it is, else None."""
    if action in _CONDITIONAL and (code == "PreconditionFailed" or status == 412):
        return exists_error()
    if action == "GetObject" and (code == "InvalidRange" or status == 416):
        return range_error()
    if action == "GetObject" and code == "InvalidObjectState":
        return archived_error()
    refused = _REFUSED_FILES.get(code)
    if refused is None:
        return None
    status_code, our_code, message = refused
    return FileRejectedError(message, status_code=status_code, code=our_code)


def _meaning(action: str, code: str, status: int) -> _Meaning:
    if code == "NoSuchBucket":
        return ConfigurationRefusedError, ""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code.startswith("KMS"):
        return ConfigurationRefusedError, _KEY
    if status == 404 and action not in _ABOUT_OBJECT:
        return ConfigurationRefusedError, _PLACE
    return next(meaning for statuses, meaning in _BY_STATUS if status in statuses)


def remember_attempts(events: BaseEventHooks) -> None:
    """Let what a client raises tell whether any attempt reached the store: the last alone says nothing."""

    def note(caught_exception: Exception | None, request_dict: dict[str, Any], **_: object) -> None:
        if not isinstance(caught_exception, _NEVER_SENT):
            request_dict["context"][_WAS_SENT] = True

    def mark(exception: Exception, context: dict[str, Any], **_: object) -> None:
        setattr(exception, _WAS_SENT, context.get(_WAS_SENT, False))

    events.register("needs-retry.s3", note)
    events.register("after-call-error.s3", mark)


def _from_library(exc: Exception) -> ProviderError:
    kind, message = next((kind, text) for foreign, kind, text in _BY_EXCEPTION if isinstance(exc, foreign))
    was_never_sent = isinstance(exc, _NEVER_SENT) and not getattr(exc, _WAS_SENT, False)
    return kind(message, answered=was_never_sent or not kind.retryable)
