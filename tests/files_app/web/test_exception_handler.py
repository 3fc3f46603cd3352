"""What an exception becomes as an answer."""

from __future__ import annotations

import pytest

from files_app.web.exception_handler import answer_for
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    ProviderBusyError,
    ProviderError,
    ProviderUnavailableError,
)


@pytest.mark.parametrize(
    ("error", "status", "code", "should_retry"),
    [
        (
            ConfigurationRefusedError("the reason", status_code=405),
            502,
            "provider_configuration_error",
            "false",
        ),
        (
            ConfigurationRefusedError("the reason", status_code=404, code="bucket_not_found"),
            502,
            "bucket_not_found",
            "false",
        ),
        (CredentialsError("the reason", status_code=403), 502, "provider_auth_error", "false"),
        (ProviderBusyError("the reason", status_code=409), 503, "provider_busy", None),
        (ProviderUnavailableError("the reason", status_code=500), 502, "provider_unavailable", None),
        (
            FileRejectedError("the reason", status_code=409, code="file_archived"),
            409,
            "file_archived",
            "false",
        ),
    ],
)
def test_what_a_provider_says_reaches_the_client_as_the_fault_of_whom_it_is(
    error: ProviderError, status: int, code: str, should_retry: str | None
) -> None:
    answer = answer_for(error)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers.get("x-should-retry") == should_retry
    assert ("Retry-After" in answer.headers) is isinstance(error, ProviderUnavailableError)
    assert "the reason" in answer.message
    assert ("credentials" in answer.message) is isinstance(error, CredentialsError)


@pytest.mark.parametrize("theirs", ["req\nx-evil: 1", "req\r", "req_\u20ac", ""])
def test_a_providers_request_id_that_is_no_header_is_left_out(theirs: str) -> None:
    error = ProviderUnavailableError("away", request_id=theirs)
    assert "x-provider-request-id" not in answer_for(error).response().headers
