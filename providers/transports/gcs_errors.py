"""What google-cloud-storage, google-auth and requests raise, and what it means here: the one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth import exceptions as auth

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
from providers.parsing import retry_after_seconds
from providers.transports.objects import exists_error, range_error

#: Status -> ours, with words that name neither bucket nor principal. Read in the JSON API's reference,
#: seen on fake-gcs-server, 2026-11-23.
_BY_STATUS: Final[Mapping[int, tuple[type[ProviderError], str]]] = {
    401: (CredentialsError, "The store does not accept the provider account's credentials."),
    403: (CredentialsError, "The provider account's credentials may not do this in its bucket."),
    404: (RemoteFileNotFoundError, "The store does not have the file (any more)."),
    408: (ProviderTimeoutError, "The store gave up waiting."),
    410: (ProviderUnavailableError, "The store gave the upload up."),
    429: (RateLimitedError, "The store asks to slow down."),
    504: (ProviderTimeoutError, "The store did not answer in time."),
}
#: What the libraries themselves raise -> ours; the first that fits. False: bytes may have arrived.
_BY_EXCEPTION: Final[tuple[tuple[type[Exception], type[ProviderError], str, bool], ...]] = (
    (auth.RefreshError, CredentialsError, "No token can be had with the account's credentials.", True),
    (auth.DefaultCredentialsError, CredentialsError, "No Google credentials were found here.", True),
    (auth.TransportError, ProviderUnavailableError, "Google's token server cannot be reached.", True),
    (auth.GoogleAuthError, CredentialsError, "The account's Google credentials do not work.", True),
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
def gcs_errors() -> Iterator[None]:
    """Turn what the libraries raise into a ProviderError."""
    try:
        yield
    except GoogleAPICallError as exc:
        raise error_of_status(int(exc.code or 0), exc.response) from exc
    except _FOREIGN as exc:
        _, kind, message, answered = next(row for row in _BY_EXCEPTION if isinstance(exc, row[0]))
        raise kind(message, answered=answered) from exc


def error_of_status(status: int, response: requests.Response | None = None) -> ProviderError:
    """Return the error that an answer's status means."""
    if status == 412:
        return exists_error()
    if status == 416:
        return range_error()
    kind, message = _BY_STATUS.get(status) or (_kind_of(status), f"The store answered {status}.")
    headers = {} if response is None else response.headers
    return kind(
        message,
        status_code=status or None,
        request_id=headers.get("x-guploader-uploadid"),
        retry_after_seconds=retry_after_seconds(headers) if status in {429, 503} else None,
    )


def bucket_error() -> CredentialsError:
    """Return the error for a bucket that is not there."""
    return CredentialsError(
        "The bucket of this provider account does not exist.", status_code=404, code="bucket_not_found"
    )


def _kind_of(status: int) -> type[ProviderError]:
    if status >= 500:
        return ProviderUnavailableError
    return refusal_of(status) if status >= 400 else InvalidResponseError
