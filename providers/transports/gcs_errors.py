"""What google-cloud-storage, google-auth and requests raise, and what it means here: the one table."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth import exceptions as auth

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
from providers.objects import Operation
from providers.parsing import retry_after_seconds
from providers.transports.objects import exists_error, range_error
from providers.transports.proxies import proxy_refusal

_CREDENTIALS: Final = "The provider account's credentials may not do this in its bucket ({})."
_BUCKET: Final = "The store does not do this for the account's bucket or project as it is set up ({})."
_SLOWER: Final = "The store asks to slow down ({})."
_KEPT: Final = "The bucket keeps this file from being deleted for now ({})."

_Meaning: TypeAlias = tuple[type[ProviderError], str]

#: Whose fault an answer is: the `reason` in its body -> ours, and words for the reason that name neither
#: bucket nor principal. Only a size and a range can be the client's. Read in the JSON API's
#: reference, 2026-11-25.
_BY_REASON: Final[Mapping[str, _Meaning]] = {
    **dict.fromkeys(
        (
            "accessNotConfigured",
            "accountDisabled",
            "billingNotEnabled",
            "orgPolicyConstraintFailed",
            "UserProjectAccountProblem",
            "UserProjectInconsistent",
            "UserProjectInvalid",
            "UserProjectMissing",
        ),
        (ConfigurationRefusedError, _BUCKET),
    ),
    **dict.fromkeys(
        ("quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded"), (RateLimitedError, _SLOWER)
    ),
    **dict.fromkeys(("objectUnderActiveHold", "retentionPolicyNotMet"), (ProviderBusyError, _KEPT)),
}
#: The same by status, for answers without such a reason. Seen on fake-gcs-server, 2026-11-23.
_BY_STATUS: Final[tuple[tuple[Container[int], _Meaning], ...]] = (
    ({401}, (CredentialsError, "The store does not accept the provider account's credentials ({}).")),
    ({403}, (CredentialsError, _CREDENTIALS)),
    ({404}, (RemoteFileNotFoundError, "The store does not have the file (any more).")),
    ({408}, (ProviderTimeoutError, "The store gave up waiting ({}).")),
    ({409}, (ProviderBusyError, "The store is busy with this file or bucket ({}).")),
    ({410}, (ProviderUnavailableError, "The store gave the upload up ({}).")),
    ({413}, (FileRejectedError, "The store does not take so large a file ({}).")),
    ({429}, (RateLimitedError, _SLOWER)),
    (range(400, 500), (ConfigurationRefusedError, _BUCKET)),
    ({504}, (ProviderTimeoutError, "The store did not answer in time ({}).")),
    (range(500, 1_000), (ProviderUnavailableError, "The store failed ({}).")),
    (range(400), (InvalidResponseError, "The store answered {}.")),
)
_REASON: Final = re.compile(r"[A-Za-z]{1,64}")
#: What is read of an error's body; the reasons are at its start.
MAX_BODY_BYTES: Final = 65_536
#: What the libraries themselves raise -> ours; the first that fits. False: bytes may have arrived.
_BY_EXCEPTION: Final[tuple[tuple[type[Exception], type[ProviderError], str, bool], ...]] = (
    (auth.RefreshError, CredentialsError, "No token can be had with the account's credentials.", True),
    (auth.DefaultCredentialsError, CredentialsError, "No Google credentials were found here.", True),
    (auth.TransportError, ProviderUnavailableError, "Google's token server cannot be reached.", True),
    (auth.GoogleAuthError, CredentialsError, "The account's Google credentials do not work.", True),
    (requests.exceptions.ProxyError, ProviderUnavailableError, proxy_refusal("the store"), True),
    (requests.JSONDecodeError, InvalidResponseError, "The store's answer makes no sense.", True),
    (requests.ConnectTimeout, ProviderTimeoutError, "Could not connect to the store in time.", True),
    (requests.Timeout, ProviderTimeoutError, "The store did not answer in time.", False),
    (urllib3.exceptions.TimeoutError, ProviderTimeoutError, "The store did not answer in time.", False),
    (RetryError, ProviderUnavailableError, "The store could not be reached.", False),
    (Exception, ProviderUnavailableError, "The connection to the store broke.", False),
)
_FOREIGN: Final = (
    auth.GoogleAuthError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    RetryError,
)


@contextmanager
def gcs_errors(operation: Operation | None = None) -> Iterator[None]:
    """Turn what the libraries raise into a ProviderError; `operation` as in `error_of_answer`."""
    try:
        yield
    except (GoogleAPICallError, *_FOREIGN) as exc:
        # Attempts that ran out of time end with the answer to the last of them.
        answer = getattr(exc.cause if isinstance(exc, RetryError) else exc, "response", None)
        if isinstance(answer, requests.Response):
            raise error_of_answer(answer.status_code, answer.headers, answer.content, operation) from exc
        raise _error_of_library(exc) from exc


def error_of_answer(
    status: int, headers: Mapping[str, str], body: bytes, operation: Operation | None = None
) -> ProviderError:
    """Return the error that an answer means.

    operation: create where the request has the precondition of a first write, content where it may have a
    range; nothing else can find the one unmet or the other outside of the file.
    """
    reason = _reason(body)
    if operation == Operation.CREATE and status == 412 and reason not in _BY_REASON:
        return exists_error()
    # An object that is stored compressed is unpacked on its way: no range of it can be told.
    is_compressed = headers.get("x-goog-stored-content-encoding", "identity") != "identity"
    if operation == Operation.CONTENT and status == 416 and not is_compressed:
        return range_error()
    kind, words = _BY_REASON.get(reason) or next(
        meaning for statuses, meaning in _BY_STATUS if status in statuses
    )
    return kind(
        words.format(reason or status),
        status_code=status or None,
        request_id=headers.get("x-guploader-uploadid"),
        retry_after_seconds=retry_after_seconds(headers) if kind.retryable else None,
    )


def _error_of_library(exc: Exception) -> ProviderError:
    _, kind, message, answered = next(row for row in _BY_EXCEPTION if isinstance(exc, row[0]))
    return kind(message, answered=answered)


def _reason(body: bytes) -> str:
    """Return the reason of the first of an answer's `error.errors`; empty where there is none."""
    try:
        reason = json.loads(body[:MAX_BODY_BYTES])["error"]["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""


def bucket_error() -> ConfigurationRefusedError:
    """Return the error for a bucket that is not there."""
    return ConfigurationRefusedError(
        "The bucket of this provider account does not exist.", status_code=404, code="bucket_not_found"
    )
