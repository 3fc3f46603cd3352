"""Mistral: page numbers, sample types, and errors in five shapes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import CredentialsError, FileRejectedError, RemoteFileNotFoundError
from providers.mistral import MistralDriver
from providers.objects import RemoteFile
from tests.fake_provider import FakeProvider
from tests.providers.compatible_contract import FamilyRow, build
from tests.providers.transport import Answer
from tests.providers.wire import Error

FILE = RemoteFile(
    remote_id="3f1c9a52-7d1e-4d0b-9a77-5b2c0e6f8a11",
    bytes=1482,
    created_at=datetime.fromtimestamp(1_795_400_000, UTC),
    filename="march-run.jsonl",
    purpose="batch",
    content_type="application/jsonl",
)


class TestMistral(FamilyRow):
    driver = "mistral"
    dialect = "mistral"
    expected = {
        "retrieve-file": FILE,
        "retrieve-deleted": Error(RemoteFileNotFoundError, "Mistral does not have this file."),
        "retrieve-result": replace(FILE, bytes=None, purpose="batch_output"),
        "retrieve-ocr": replace(
            FILE, filename="scan.pdf", purpose="user_data", content_type="application/pdf"
        ),
        "list-files": (FILE.remote_id,),
        "delete-file": None,
        "create-flat-error": Error(FileRejectedError, "Invalid file", "3310"),
        "create-file-type": Error(FileRejectedError, "mimetype text/x-python is not supported"),
        "list-unauthorized": Error(CredentialsError, "Unauthorized"),
        "list-front-door": Error(CredentialsError, "Unauthorized"),
        "retrieve-no-uuid": Error(RemoteFileNotFoundError, "Input should be a valid UUID", None, "file_id"),
    }

    @pytest.mark.parametrize("purpose", ["user_data", "assistants", "vision"])
    def test_documents_go_to_ocr(self, fake: FakeProvider, purpose: str) -> None:
        self.make(fake).create_file(self.source(purpose=purpose, filename="scan.pdf").upload)
        assert [each.purpose for each in fake.store("mistral")] == ["ocr"]

    def test_no_expiry_is_sent(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source(expires_after_seconds=86_400).upload)
        (request,) = fake.requests
        assert request.part_names == ["purpose", "file"]


@pytest.mark.parametrize(
    ("count", "total", "cursor", "following"),
    [
        (3, 7, None, "1"),
        (3, 7, "1", "2"),
        (1, 7, "2", None),
        (3, 6, "1", None),
        (3, None, "1", "2"),
        (0, 0, None, None),
    ],
)
def test_pages_are_counted_from_zero(
    count: int, total: int | None, cursor: str | None, following: str | None
) -> None:
    answer = Answer({"data": [{"id": f"id-{n}"} for n in range(count)], "total": total})
    driver, wire = build(MistralDriver, answer)
    driver.dialect = replace(driver.dialect, page_size=3)
    assert driver.list_files(cursor=cursor).next_cursor == following
    assert wire.sent[0].query == {"page": cursor or "0", "page_size": "3"}
