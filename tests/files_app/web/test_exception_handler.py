"""What an exception becomes as an answer."""

from __future__ import annotations

import pytest

from files_app.web.exception_handler import answer_for
from providers.exceptions import ProviderUnavailableError


@pytest.mark.parametrize("theirs", ["req\nx-evil: 1", "req\r", "req_\u20ac", ""])
def test_a_providers_request_id_that_is_no_header_is_left_out(theirs: str) -> None:
    error = ProviderUnavailableError("away", request_id=theirs)
    assert "x-provider-request-id" not in answer_for(error).response().headers
