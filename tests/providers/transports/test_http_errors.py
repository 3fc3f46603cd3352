"""What urllib3 raises, and what it means."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from urllib3 import exceptions as urllib3

from providers.exceptions import ProviderTimeoutError, ProviderUnavailableError
from providers.transports.http_errors import error_of_reading, error_of_sending
from providers.transports.proxies import proxy_refusal

URL = "https://files.example/v1/files?secret=1"
POOL: Any = None


def aborted(cause: Exception) -> urllib3.ProtocolError:
    return urllib3.ProtocolError("Connection aborted.", cause)


@pytest.mark.parametrize(
    ("raised", "kind", "message", "answered"),
    [
        (
            urllib3.ConnectTimeoutError(),
            ProviderTimeoutError,
            "Could not connect to files.example in time.",
            True,
        ),
        (
            urllib3.NewConnectionError(POOL, "refused"),
            ProviderUnavailableError,
            "Could not connect to files.example.",
            True,
        ),
        (
            urllib3.ReadTimeoutError(POOL, "/", ""),
            ProviderTimeoutError,
            "files.example did not answer in time.",
            False,
        ),
        (aborted(TimeoutError()), ProviderTimeoutError, "files.example did not answer in time.", False),
        (
            urllib3.ProxyError("no tunnel", OSError("403 Forbidden")),
            ProviderUnavailableError,
            proxy_refusal("files.example"),
            True,
        ),
        (
            urllib3.LocationValueError("No host specified."),
            ProviderUnavailableError,
            "The account's endpoint is not a usable URL (host 'files.example').",
            True,
        ),
        (
            aborted(BrokenPipeError(32, "Broken pipe")),
            ProviderUnavailableError,
            "The connection to files.example broke.",
            False,
        ),
        (OSError(5), ProviderUnavailableError, "The connection to files.example broke.", False),
    ],
)
def test_an_error_of_sending_says_what_is_known(
    raised: Exception, kind: type[Exception], message: str, answered: bool
) -> None:
    error = error_of_sending(raised, URL, body_was_read=True)
    assert (type(error), error.message, error.answered) == (kind, message, answered)


@pytest.mark.parametrize("body_was_read", [False, True])
def test_a_broken_encryption_may_have_let_the_body_through(body_was_read: bool) -> None:
    raised = urllib3.SSLError(ssl.SSLError(1))
    error = error_of_sending(raised, URL, body_was_read=body_was_read)
    assert "TLS" in error.message
    assert error.answered == (not body_was_read)


def test_what_was_handled_before_says_nothing_about_a_request() -> None:
    """A request that cleans up after a failed one is made while that failure is handled."""
    raised = aborted(ConnectionResetError(104))
    raised.__context__ = TimeoutError("the first request")
    assert not isinstance(error_of_sending(raised, URL, body_was_read=False), ProviderTimeoutError)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (urllib3.ReadTimeoutError(POOL, "/", ""), ProviderTimeoutError),
        (urllib3.IncompleteRead(3, 7), ProviderUnavailableError),
        (ConnectionResetError(104), ProviderUnavailableError),
    ],
)
def test_an_error_of_reading_leaves_the_outcome_open(raised: Exception, kind: type[Exception]) -> None:
    error = error_of_reading(raised)
    assert (type(error), error.answered) == (kind, False)
