"""Cohere's datasets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from providers.cohere import avro_bytes, original_urls
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderUnavailableError,
    UnsupportedOperationError,
)
from providers.objects import RemoteFile
from tests.fake_provider import FakeProvider, Match, behaviours
from tests.fake_provider.wire import JSON
from tests.providers.contract import DriverContract
from tests.providers.wire import Error, read

CREATED = datetime(2026, 11, 20, 9, 15, 2, 481000, UTC)
DATASET: Match = {"method": "GET", "path": "/datasets/[^/]+$"}


class TestCohere(DriverContract):
    driver = "cohere"
    dialect = "cohere"
    planted_purpose = "batch-openai-chat-input"
    create_request: ClassVar[Match] = {"method": "POST", "path": "/v1/datasets$"}
    size_path = ""
    expected = {
        "create-refused": Error(FileRejectedError, "invalid dataset type: batch-openai-chat-input"),
        "retrieve-validated": RemoteFile(
            "tickets-2026-ab12cd",
            created_at=CREATED,
            filename="tickets.jsonl",
            purpose="user_data",
            expires_at=CREATED + timedelta(days=30),
        ),
        "retrieve-failed": RemoteFile(
            "tickets-2026-ab12cd",
            created_at=CREATED,
            filename="tickets.jsonl",
            purpose="fine-tune",
            status="error",
            status_details="line 3: missing field messages",
            expires_at=CREATED + timedelta(days=30),
        ),
        "retrieve-result": RemoteFile(
            "embed-out-1",
            bytes=51_200 + 40_960,
            created_at=CREATED,
            filename="embeddings",
            purpose="batch_output",
            expires_at=CREATED + timedelta(days=30),
        ),
        "retrieve-blocked_token": Error(CredentialsError, "invalid api token"),
        "list-datasets": ("tickets-2026-ab12cd", "queued-1"),
    }

    def content_path(self, remote_id: str) -> str:
        return f"/{remote_id}/original$"

    def test_everything_but_the_bytes_is_in_the_query(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source().upload)
        (request,) = fake.requests
        assert request.query == {
            "name": ["requests.jsonl"],
            "type": ["batch-openai-chat-input"],
            "keep_original_file": ["true"],
        }
        assert request.part_names == ["data"]
        assert created.status == "uploaded", "the upload does not wait for the validation"
        assert created.expires_at is not None
        assert created.expires_at - datetime.now(UTC) == pytest.approx(
            timedelta(days=30), abs=timedelta(minutes=1)
        )

    @pytest.mark.parametrize(
        ("purpose", "kind"),
        [
            ("fine-tune", "chat-finetune-input"),
            ("user_data", "embed-input"),
            ("assistants", "embed-input"),
        ],
    )
    def test_a_purpose_becomes_a_type(self, fake: FakeProvider, purpose: str, kind: str) -> None:
        self.make(fake).create_file(self.source(purpose=purpose).upload)
        assert fake.store("cohere")[0].purpose == kind

    def test_a_purpose_without_a_type_is_refused_before_any_request(self, fake: FakeProvider) -> None:
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source(purpose="vision").upload)
        assert caught.value.param == "purpose"
        assert fake.requests == []

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("batch-chat-v2-input", "batch"),
            ("reranker-finetune-input", "fine-tune"),
            ("new-type", "new-type"),
        ],
    )
    def test_a_type_becomes_a_purpose(self, fake: FakeProvider, theirs: str, ours: str) -> None:
        remote_id = self.plant(fake, purpose=theirs)
        assert self.make(fake).retrieve_file(remote_id).purpose == ours

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("unknown", "uploaded"),
            ("queued", "uploaded"),
            ("processing", "uploaded"),
            ("skipped", "processed"),
            ("validated", "processed"),
            ("failed", "error"),
            ("brand-new", "uploaded"),
        ],
    )
    def test_a_validation_status_becomes_a_status(self, fake: FakeProvider, theirs: str, ours: str) -> None:
        remote_id = self.plant(fake)
        fake.script(DATASET, behaviours.patched({"dataset": {"validation_status": theirs}}))
        assert self.make(fake).retrieve_file(remote_id).status == ours

    def test_the_original_comes_without_credentials(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        download = driver.download_file(remote_id)
        assert download.length == len(self.content)
        assert b"".join(download.chunks) == self.content
        download.close()
        signed = fake.requests[-1]
        assert signed.path.endswith("/original") and "authorization" not in signed.headers

    def test_originals_are_joined_by_index(self, fake: FakeProvider) -> None:
        first, second = self.plant(fake, content=b"one\n"), self.plant(fake, content=b"two\n")
        urls = [f"{fake.storage_root}/cohere/{each}/original?sig=fake" for each in (first, second)]
        parts: list[JSON] = [
            {"id": "b", "name": "b", "index": 1, "original_url": urls[1]},
            {"id": "a", "name": "a", "index": 0, "original_url": urls[0]},
        ]
        fake.script(DATASET, behaviours.patched({"dataset": {"dataset_parts": parts}}))
        download = self.make(fake).download_file(first)
        assert (b"".join(download.chunks), download.length) == (b"one\ntwo\n", None)
        download.close()

    def test_content_has_to_wait_for_the_validation(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake)
        queued = behaviours.patched(
            {"dataset": {"validation_status": "queued"}}, without=("dataset.dataset_parts",)
        )
        fake.script(DATASET, queued)
        with pytest.raises(FileRejectedError) as caught:
            read(self.make(fake), remote_id)
        assert (caught.value.status_code, caught.value.code) == (409, "content_not_ready")

    def test_a_dataset_without_its_original_has_no_content(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake, extra={"keeps_original": False})
        with pytest.raises(UnsupportedOperationError, match="Avro"):
            read(self.make(fake), remote_id)

    def test_a_storage_address_is_not_trusted_blindly(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake)
        parts = [{"id": "a", "name": "a", "original_url": "file:///etc/passwd"}]
        fake.script(DATASET, behaviours.patched({"dataset": {"dataset_parts": parts}}))
        with pytest.raises(InvalidResponseError):
            read(self.make(fake), remote_id)

    def test_a_signed_url_that_is_refused_is_no_bad_key(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake)
        fake.script(
            {"path": "/original$"}, behaviours.answer(403, "<Error><Code>AccessDenied</Code></Error>")
        )
        with pytest.raises(ProviderUnavailableError) as caught:
            read(self.make(fake), remote_id)
        assert "sig=" not in str(caught.value)

    @pytest.mark.parametrize(("status", "kind"), [(498, CredentialsError), (499, ProviderUnavailableError)])
    def test_a_status_of_its_own_is_understood(
        self, fake: FakeProvider, status: int, kind: type[Exception]
    ) -> None:
        fake.script({"method": "GET"}, behaviours.fail(status))
        with pytest.raises(kind):
            self.make(fake).list_files()

    def test_a_short_page_is_not_the_last(self, fake: FakeProvider) -> None:
        planted = [self.plant(fake, created_at=number) for number in (1, 2)]
        driver = self.make(fake)
        page = driver.list_files()
        assert [each.remote_id for each in page.files] == planted[::-1]
        assert page.next_cursor == "2"
        assert driver.list_files(cursor="2").next_cursor is None
        assert fake.requests[-1].query["offset"] == ["2"]


def test_originals_count_only_when_every_part_has_one() -> None:
    assert original_urls({"dataset_parts": [{"original_url": "https://a"}, {"id": "b"}]}) == []
    assert original_urls({"dataset_parts": [{"original_url": "https://a"}] * 2}) == ["https://a"]
    assert original_urls({"dataset_parts": "none"}) == []


def test_a_size_is_known_only_when_every_part_tells_it() -> None:
    assert avro_bytes({"dataset_parts": [{"size_bytes": 2}, {"size_bytes": 3}]}) == 5
    assert avro_bytes({"dataset_parts": [{"size_bytes": 2}, {}]}) is None
    assert avro_bytes({}) is None
