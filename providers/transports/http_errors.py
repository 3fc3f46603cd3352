"""What urllib3 raises, and what it means here: the one table."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple

import requests
import urllib3

from providers.exceptions import ProviderError, ProviderTimeoutError, ProviderUnavailableError
from providers.parsing import split_url
from providers.transports.proxies import proxy_refusal

#: What can come out of a request, apart from what its body raises.
FOREIGN: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


_HANG_UPS: Final = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class _Row(NamedTuple):
    """answered: whether the provider surely did nothing; None where that holds only of an unread body."""

    foreign: tuple[type[Exception], ...]
    kind: type[ProviderError]
    message: str
    answered: bool | None


#: While a request is sent and its answer awaited. The first row counts that fits what was raised or anything
#: that it wraps.
_SENDING: Final = (
    _Row(
        (urllib3.exceptions.ProxyError,),
        ProviderUnavailableError,
        proxy_refusal("{host}"),
        True,
    ),
    _Row(
        (urllib3.exceptions.NewConnectionError,),
        ProviderUnavailableError,
        "Could not connect to {host}.",
        True,
    ),
    _Row(
        (urllib3.exceptions.ConnectTimeoutError,),
        ProviderTimeoutError,
        "Could not connect to {host} in time.",
        True,
    ),
    _Row(
        (urllib3.exceptions.ReadTimeoutError, TimeoutError),
        ProviderTimeoutError,
        "{host} did not answer in time.",
        False,
    ),
    # Also what is raised when an established connection breaks: then the body may have arrived.
    _Row(
        (urllib3.exceptions.SSLError,),
        ProviderUnavailableError,
        "No trustworthy TLS connection to {host}.",
        None,
    ),
    _Row(
        (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError),
        ProviderUnavailableError,
        "The account's endpoint is not a usable URL (host '{host}').",
        True,
    ),
    _Row((Exception,), ProviderUnavailableError, "The connection to {host} broke.", False),
)
#: While the body of an answer is read.
_READING: Final = (
    _Row(
        (urllib3.exceptions.ReadTimeoutError,),
        ProviderTimeoutError,
        "The provider's answer stopped coming.",
        False,
    ),
    _Row((Exception,), ProviderUnavailableError, "The provider's answer broke off.", False),
)


def error_of_sending(exc: Exception, url: str, *, body_was_read: bool) -> ProviderError:
    """Return the error that a foreign one means while a request to `url` is sent."""
    row = _first(_SENDING, exc)
    answered = not body_was_read if row.answered is None else row.answered
    return row.kind(row.message.format(host=split_url(url).hostname or ""), answered=answered)


def error_of_reading(exc: Exception) -> ProviderError:
    """Return the error that a foreign one means while an answer's body is read."""
    row = _first(_READING, exc)
    return row.kind(row.message, answered=bool(row.answered))


def is_hang_up(exc: BaseException | None) -> bool:
    """Whether the other side closed the connection: that is no silence, and no refusal of ours."""
    return any(isinstance(each, _HANG_UPS) for each in _with_wrapped(exc))


def _first(table: tuple[_Row, ...], exc: Exception) -> _Row:
    wrapped = tuple(_with_wrapped(exc))
    return next(row for row in table if any(isinstance(each, row.foreign) for each in wrapped))


def _with_wrapped(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, from the outside in.

    urllib3 keeps that in `reason` or last in `args`. The chain of causes is no help: it
    goes on to what was being handled when the request was made.
    """
    found: object = exc
    while isinstance(found, BaseException):
        yield found
        held = (getattr(found, "reason", None), *reversed(found.args))
        found = next((each for each in held if isinstance(each, BaseException)), None)
