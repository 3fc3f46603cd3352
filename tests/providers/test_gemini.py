"""Gemini: resumable sessions, 403 for missing files, strings for numbers."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.base import Driver
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)
from providers.objects import MiB, Operation, RemoteFile
from providers.registry import build_driver
from tests.fake_provider import VALID_KEY, FakeProvider, Match, behaviours
from tests.providers.contract import DriverContract
from tests.providers.transport import Answer, FakeTransport
from tests.providers.uploads import Position, ProbeError
from tests.providers.wire import Error, read

CREATED = datetime(2026, 11, 20, 9, 15, 2, 481337, UTC)
URI = "https://generativelanguage.googleapis.com/v1beta/files/a1b2c3d4e5f6"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UPLOADED = RemoteFile(
    "a1b2c3d4e5f6",
    bytes=48_213,
    created_at=CREATED,
    filename="contract.pdf",
    expires_at=datetime(2026, 11, 22, 9, 15, 2, 460911, UTC),
    content_type="application/pdf",
    uri=URI,
    sha256=SHA256,
)
CLIP = replace(UPLOADED, filename="clip.mp4", content_type="video/mp4", sha256=None)
MISSING = "You do not have permission to access the File a1b2c3d4e5f6 or it may not exist."
SESSION = "https://gemini.example/upload/v1beta/files?upload_id=1"
FIRST_BLOCK: Match = {"method": "POST", "path": "/files$", "skip": 1}


def commands(fake: FakeProvider) -> list[str | None]:
    fake.wait_until_idle()
    return [each.headers.get("X-Goog-Upload-Command") for each in fake.requests]


class TestGemini(DriverContract):
    driver = "gemini"
    dialect = "gemini"
    create_request = FIRST_BLOCK  # the start of the session comes before it
    id_path = "file.name"
    size_path = "file.sizeBytes"
    expected = {
        "retrieve-uploaded": UPLOADED,
        "retrieve-processing": replace(CLIP, status="uploaded"),
        "retrieve-failed": replace(CLIP, status="error", status_details="The video has no frames."),
        "retrieve-generated": RemoteFile(
            "batch-9z8y7x",
            bytes=1_024,
            created_at=datetime(2026, 11, 20, 9, 15, 2, tzinfo=UTC),
            filename="batch-9z8y7x",
            purpose="assistants_output",
            expires_at=datetime(2026, 11, 22, 9, 15, 2, tzinfo=UTC),
            content_type="application/jsonl",
            uri="https://generativelanguage.googleapis.com/v1beta/files/batch-9z8y7x",
        ),
        "retrieve-missing": Error(RemoteFileNotFoundError, MISSING, "PERMISSION_DENIED"),
        "retrieve-disabled": Error(
            ConfigurationRefusedError,
            "Generative Language API has not been used in project 1 before or it is disabled.",
            "SERVICE_DISABLED",
        ),
        "retrieve-malformed": Error(FileRejectedError, "Invalid file name: A_B", "INVALID_ARGUMENT"),
        "delete-missing_in_list": Error(RemoteFileNotFoundError, MISSING, "PERMISSION_DENIED"),
        "list-page": ("a1b2c3d4e5f6", "batch-9z8y7x"),
        "list-empty": (),
        "list-bad_key": Error(
            CredentialsError, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"
        ),
        "create-quota": Error(RateLimitedError, "Quota exceeded for file storage.", "RESOURCE_EXHAUSTED"),
    }

    def plant(self, fake: FakeProvider, **changes: Any) -> str:
        return super().plant(fake, **{"extra": {"source": "GENERATED"}, **changes})

    def content_path(self, remote_id: str) -> str:
        return ":download$"

    def sent_type(self, fake: FakeProvider) -> str | None:
        return fake.requests[0].headers.get("X-Goog-Upload-Header-Content-Type")

    def answering(self, *answers: Answer, key: str = VALID_KEY) -> tuple[Driver, FakeTransport]:
        transport = FakeTransport(list(answers))
        account = self.config("https://gemini.example", transport=transport, credentials={"api_key": key})
        return build_driver(self.driver, account), transport

    def test_a_file_makes_the_round_trip(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        created = driver.create_file(self.source().upload)
        assert fake.store("gemini")[0].content() == self.content
        self.check_created(created, driver)
        assert driver.retrieve_file(created.remote_id) == created
        assert driver.list_files().files == (created,)
        driver.delete_file(created.remote_id)
        with pytest.raises(RemoteFileNotFoundError):
            driver.delete_file(created.remote_id)

    # Blocks of a session

    def test_a_small_file_is_one_block_behind_the_start(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source().upload)
        assert commands(fake) == ["start", "upload, finalize"]

    @pytest.mark.parametrize("size", [8 * MiB - 1, 8 * MiB, 8 * MiB + 1, 16 * MiB, 16 * MiB + 77])
    def test_all_blocks_but_the_last_are_multiples_of_the_granularity(
        self, fake: FakeProvider, size: int
    ) -> None:
        source = self.source(content=bytes(range(250)) * (size // 250 + 1), chunk_bytes=300_000)
        created = self.make(fake).create_file(source.upload)
        sizes = [each.body_bytes for each in fake.requests[1:]]
        assert set(sizes[:-1]) <= {8 * MiB} and 0 < sizes[-1] <= 8 * MiB
        assert sum(sizes) == source.total_bytes
        assert created.sha256 == source.digest().sha256 == fake.store("gemini")[0].sha256

    def test_an_empty_file_is_finalized_without_bytes(self, fake: FakeProvider) -> None:
        assert self.make(fake).create_file(self.source(content=b"").upload).bytes == 0

    def test_a_smaller_granularity_makes_no_smaller_blocks(self) -> None:
        started = {"X-Goog-Upload-URL": SESSION, "X-Goog-Upload-Chunk-Granularity": str(3 * MiB)}
        active, final = ({"X-Goog-Upload-Status": status} for status in ("active", "final"))
        driver, transport = self.answering(
            Answer(headers=started),
            Answer(headers=active),
            Answer({"file": {"name": "files/a"}}, headers=final),
        )
        driver.create_file(self.source(content=bytes(7 * MiB)).upload)
        assert [len(each.body) for each in transport.sent[1:]] == [6 * MiB, MiB]

    @pytest.mark.parametrize(("announced", "length"), [(True, str(40 * 92)), (False, None)])
    def test_the_length_is_said_where_it_is_known(
        self, fake: FakeProvider, announced: bool, length: str | None
    ) -> None:
        self.make(fake).create_file(self.source(announced=announced).upload)
        assert fake.requests[0].headers.get("X-Goog-Upload-Header-Content-Length") == length

    # The session's URL

    def test_the_key_goes_to_the_start_and_not_to_the_session(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source().upload)
        assert [each.headers.get("x-goog-api-key") for each in fake.requests] == [VALID_KEY, None]

    def test_a_session_elsewhere_is_used_through_our_own_endpoint(self) -> None:
        elsewhere = "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=A%2FB&x=1"
        driver, transport = self.answering(
            Answer(headers={"X-Goog-Upload-URL": elsewhere}),
            Answer({"file": {"name": "files/a"}}, headers={"X-Goog-Upload-Status": "final"}),
        )
        driver.create_file(self.source().upload)
        assert transport.sent[1].url == "https://gemini.example/upload/v1beta/files?upload_id=A%2FB&x=1"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-Goog-Upload-URL": "https://metadata.example/computeMetadata"},
            {"X-Goog-Upload-URL": SESSION, "X-Goog-Upload-Chunk-Granularity": str(1024 * MiB)},
        ],
    )
    def test_a_start_without_a_usable_session_is_invalid(self, headers: dict[str, str]) -> None:
        driver, transport = self.answering(Answer(headers=headers))
        with pytest.raises(InvalidResponseError, match="no usable upload session") as caught:
            driver.create_file(self.source().upload)
        assert "upload_id" not in caught.value.message and len(transport.sent) == 1

    @pytest.mark.parametrize("version", ["v1beta", "v1"])
    def test_the_version_can_be_chosen(self, fake: FakeProvider, version: str) -> None:
        options = {"base_url": self.url(fake), "api_version": version}
        driver = build_driver(self.driver, self.config("", options=options))
        driver.retrieve_file(driver.create_file(self.source().upload).remote_id)
        assert all(f"/{version}/files" in each.path for each in fake.requests)

    # What goes wrong in a session

    @pytest.mark.parametrize("position", ["at its first byte", "inside", "at the last check"])
    def test_a_refused_upload_cancels_and_never_finalizes(
        self, fake: FakeProvider, position: Position
    ) -> None:
        source = self.source(content=bytes(MiB), repeat=20, fails=position)
        with pytest.raises(ProbeError):
            self.make(fake).create_file(source.upload)
        assert commands(fake)[-1] == "cancel" and "upload, finalize" not in commands(fake)
        assert fake.store("gemini") == []

    def test_a_refusal_before_the_file_opens_no_session(self, fake: FakeProvider) -> None:
        with pytest.raises(ProbeError):
            self.make(fake).create_file(self.source(fails="before the file").upload)
        assert fake.requests == []

    def test_a_block_that_fails_ends_the_upload(self, fake: FakeProvider) -> None:
        fake.script({**FIRST_BLOCK, "skip": 2}, behaviours.fail(503))
        source = self.source(content=bytes(MiB), repeat=100)
        with pytest.raises(ProviderUnavailableError):
            self.make(fake).create_file(source.upload)
        assert commands(fake) == ["start", "upload", "upload", "cancel"]
        assert source.pulled_bytes <= 17 * MiB

    @pytest.mark.parametrize("state", ["", "final", "cancelled"])
    def test_a_block_that_ends_the_session_is_a_failed_upload(self, fake: FakeProvider, state: str) -> None:
        fake.script(FIRST_BLOCK, behaviours.answer(headers=[("X-Goog-Upload-Status", state)]))
        with pytest.raises(InvalidResponseError, match="not active"):
            self.make(fake).create_file(self.source(content=bytes(MiB), repeat=9).upload)
        assert commands(fake) == ["start", "upload", "cancel"]

    def test_a_finalize_that_leaves_the_session_open_is_a_failed_upload(self, fake: FakeProvider) -> None:
        fake.script(FIRST_BLOCK, behaviours.answer(headers=[("X-Goog-Upload-Status", "active")]))
        with pytest.raises(InvalidResponseError, match="not final"):
            self.make(fake).create_file(self.source().upload)

    def test_a_cancel_that_fails_leaves_the_first_error_with_an_open_outcome(
        self, fake: FakeProvider
    ) -> None:
        fake.script({**FIRST_BLOCK, "times": 2}, behaviours.fail(500))
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered and commands(fake)[-1] == "cancel"

    # Files

    @pytest.mark.parametrize(
        ("filename", "content_type", "purpose", "sent"),
        [
            ("a.jsonl", "application/jsonl", "user_data", "text/plain"),
            ("a.jsonl", "application/octet-stream", "user_data", "text/plain"),
            ("a.jsonl", "application/jsonl", "batch", "application/jsonl"),
        ],
    )
    def test_models_get_a_type_that_they_take(
        self, fake: FakeProvider, filename: str, content_type: str, purpose: str, sent: str
    ) -> None:
        source = self.source(filename=filename, content_type=content_type, purpose=purpose)
        assert self.make(fake).create_file(source.upload).content_type == sent

    @pytest.mark.parametrize("state", ["STATE_UNSPECIFIED", "HIBERNATING", "", ["ACTIVE"], None])
    def test_an_unknown_state_is_one_of_a_file_that_is_not_ready(self, state: object) -> None:
        driver, _ = self.answering(Answer({"name": "files/a", "state": state}))
        assert driver.retrieve_file("a").status == "uploaded"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (base64.b64encode(hashlib.sha256(b"test").digest()).decode(), SHA256),
            (base64.b64encode(hashlib.sha256(b"test").hexdigest().encode()).decode(), SHA256),
            ("AAAA", None),
            ("not base64!", None),
            (None, None),
            (5, None),
        ],
    )
    def test_both_spellings_of_the_checksum_are_read(self, text: object, expected: str | None) -> None:
        driver, _ = self.answering(Answer({"name": "files/a", "sha256Hash": text}))
        assert driver.retrieve_file("a").sha256 == expected

    def test_an_upload_is_seen_to_expire_after_48_hours(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source().upload)
        assert created.expires_at is not None and created.created_at is not None
        life = created.expires_at - created.created_at
        assert life == pytest.approx(timedelta(hours=48), abs=timedelta(seconds=1))

    def test_pages_are_as_large_as_they_may_be(self, fake: FakeProvider) -> None:
        for number in range(105):
            self.plant(fake, remote_id=f"f{number}")
        driver = self.make(fake)
        first = driver.list_files()
        last = driver.list_files(cursor=first.next_cursor)
        assert (len(first.files), len(last.files), last.next_cursor) == (100, 5, None)

    @pytest.mark.parametrize("files", [{"a": 1}, "x", [1], None])
    def test_a_list_of_something_else_is_invalid(self, files: object) -> None:
        driver, _ = self.answering(Answer({"files": files}))
        with pytest.raises(InvalidResponseError):
            driver.list_files()

    # Downloads

    def test_an_uploaded_file_is_refused_with_what_is_possible(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        remote_id = driver.create_file(self.source().upload).remote_id
        with pytest.raises(UnsupportedOperationError, match="Only files that Gemini has made") as caught:
            driver.download_file(remote_id)
        assert caught.value.code == "unsupported_operation"
        assert not any(each.path.endswith(":download") for each in fake.requests)

    def test_a_generated_file_is_an_output_and_is_asked_for_as_media(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        assert driver.retrieve_file(remote_id).purpose == "assistants_output"
        assert read(driver, remote_id) == self.content
        assert fake.requests[-1].query == {"alt": ["media"]}

    def test_the_key_does_not_follow_a_download_to_another_host(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        elsewhere = behaviours.redirect(f"{fake.storage_root}/elsewhere", 302)
        fake.script({"path": ":download$"}, elsewhere)
        with pytest.raises(RemoteFileNotFoundError):
            read(driver, remote_id)
        assert [(each.path, each.headers.get("x-goog-api-key")) for each in fake.requests[1:]] == [
            (f"/gemini/v1beta/files/{remote_id}:download", VALID_KEY),
            ("/elsewhere", None),
        ]

    # Errors

    @pytest.mark.parametrize("operation", [Operation.RETRIEVE, Operation.CONTENT, Operation.DELETE])
    def test_a_missing_file_is_not_found_though_it_is_a_403(
        self, fake: FakeProvider, operation: Operation
    ) -> None:
        with pytest.raises(RemoteFileNotFoundError):
            self.call(self.make(fake), operation, "a1b2c3d4e5f6")

    @pytest.mark.parametrize("operation", Operation)
    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            ("BILLING_DISABLED", "This API requires billing on project #1, which may not exist."),
            ("CONSUMER_INVALID", "Permission denied on resource project p (or it may not exist)."),
        ],
    )
    def test_a_403_about_the_project_deletes_no_file(
        self, operation: Operation, reason: str, message: str
    ) -> None:
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": message}
        driver, _ = self.answering(Answer({"error": {**error, "details": [{"reason": reason}]}}, 403))
        with pytest.raises(ConfigurationRefusedError) as caught:
            self.call(driver, operation, "a")
        assert (caught.value.message, caught.value.code) == (message, reason)

    def test_a_403_that_names_no_file_is_about_the_key(self) -> None:
        message = "Permission denied on resource project p (or it may not exist)."
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": message}
        driver, _ = self.answering(Answer({"error": error}, 403))
        with pytest.raises(CredentialsError):
            driver.retrieve_file("a")

    def test_a_bad_key_is_one_though_it_is_a_400(self, fake: FakeProvider) -> None:
        driver = build_driver(self.driver, self.config(self.url(fake), credentials={"api_key": "wrong"}))
        for operation in Operation:
            with pytest.raises(CredentialsError) as caught:
                self.call(driver, operation, "a")
            assert (caught.value.status_code, caught.value.code) == (400, "API_KEY_INVALID")

    def test_a_403_on_a_list_is_about_the_key(self) -> None:
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": "File a or it may not exist."}
        driver, _ = self.answering(Answer({"error": error}, 403))
        with pytest.raises(CredentialsError) as caught:
            driver.list_files()
        assert caught.value.code == "PERMISSION_DENIED"

    @pytest.mark.parametrize(
        ("delay", "seconds"),
        [("28s", 28.0), ("1.5s", 1.5), ("9223372036854775807s", None), ("soon", None), (28, None)],
    )
    def test_the_wait_of_a_rate_limit_stands_in_the_body(self, delay: object, seconds: float | None) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
        error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota", "details": details}
        driver, _ = self.answering(Answer({"error": error}, 429))
        with pytest.raises(RateLimitedError) as caught:
            driver.delete_file("a")
        assert caught.value.retry_after_seconds == seconds
        assert caught.value.code == "RESOURCE_EXHAUSTED"

    def test_a_refusal_of_the_upload_host_is_plain_text(self) -> None:
        driver, _ = self.answering(Answer(b"Invalid upload", 400, {"Content-Type": "text/plain"}))
        with pytest.raises(FileRejectedError, match="Invalid upload"):
            driver.create_file(self.source().upload)

    def test_a_code_in_words_is_tolerated(self) -> None:
        driver, _ = self.answering(Answer({"error": {"code": "invalid_request", "message": "no"}}, 400))
        with pytest.raises(FileRejectedError) as caught:
            driver.list_files()
        assert caught.value.code == "invalid_request"
