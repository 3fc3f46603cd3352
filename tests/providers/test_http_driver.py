"""What every driver makes of an answer before it reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from providers.exceptions import FileRejectedError, ProviderUnavailableError
from providers.http_driver import with_form
from providers.objects import FilePart
from providers.openai import OpenAIDriver
from providers.transports.http import Request, StreamBody
from providers.transports.multipart import FormField, FormFile, FormPart
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


class TestForm:
    """A small form is sent in one piece, and nothing of it before all of it may go."""

    FIELDS = (FormField("purpose", "user_data"),)

    def body(self, size: int, *, length: int | None, behind: Iterable[FormPart] = ()) -> StreamBody:
        part = FilePart("a.bin", "application/octet-stream", iter([b"x" * size]), length=length)
        request = with_form(
            Request("POST", "http://provider.test"), self.FIELDS, FormFile("file", part), behind
        )
        assert isinstance(request.body, StreamBody)
        return request.body

    def test_what_is_small_is_one_piece(self) -> None:
        body = self.body(10_000, length=10_000)
        [piece] = body
        assert len(piece) == body.length
        assert piece.endswith(b"x\r\n" + piece.partition(b"\r\n")[0] + b"--\r\n")

    @pytest.mark.parametrize(("size", "length"), [(100_000, 100_000), (10_000, None)])
    def test_what_is_large_or_of_unknown_length_is_passed_on(self, size: int, length: int | None) -> None:
        assert len(list(self.body(size, length=length))) == 3

    def test_what_is_refused_at_its_end_is_not_begun(self) -> None:
        def refused() -> Iterator[FormPart]:
            raise FileRejectedError("no")
            yield

        body = self.body(10, length=10, behind=refused())
        pieces = iter(body)
        with pytest.raises(Exception, match="no"):
            next(pieces)
        assert body.started, "it cannot be sent again"
        assert not body.exhausted
