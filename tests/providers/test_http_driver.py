"""What every driver makes of an answer before it reads it."""

from __future__ import annotations

import pytest

from providers.exceptions import ProviderUnavailableError
from providers.openai import OpenAIDriver
from tests.providers.compatible_contract import build
from tests.providers.transport import Answer


class TestDelete:
    @pytest.mark.parametrize(
        "answer",
        [
            Answer(b"", 204),
            Answer(b"", 200),
            Answer(b" \n", 200),
            Answer({}, 200),
            Answer({"id": "file-1", "deleted": True}),
        ],
    )
    def test_any_success_that_does_not_deny_it_is_done(self, answer: Answer) -> None:
        driver, wire = build(OpenAIDriver, answer)
        driver.delete_file("file-1")
        assert [(each.method, each.path) for each in wire.sent] == [("DELETE", "/v1/files/file-1")]

    def test_a_denial_may_be_tried_again(self) -> None:
        driver, _ = build(OpenAIDriver, Answer({"id": "file-1", "object": "file", "deleted": False}))
        with pytest.raises(ProviderUnavailableError) as caught:
            driver.delete_file("file-1")
        assert caught.value.retryable

    @pytest.mark.parametrize("status", [409, 423])
    def test_a_file_in_use_may_be_tried_again(self, status: int) -> None:
        driver, wire = build(OpenAIDriver, Answer({"error": {"message": "in use"}}, status))
        with pytest.raises(ProviderUnavailableError):
            driver.delete_file("file-1")
        assert len(wire.sent) == 1, "a delete is the caller's to repeat"
