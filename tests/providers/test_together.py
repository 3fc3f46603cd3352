"""Together AI's three ways to upload, and its file objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar

import pytest

from providers import patience
from providers.base import Driver
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
)
from providers.objects import GiB, RemoteFile
from providers.registry import build_driver
from providers.together import TogetherDriver
from providers.transports.http import HTTPTransport
from tests.fake_provider import FakeProvider, Match, behaviours
from tests.providers.contract import DriverContract, UploadContract
from tests.providers.transport import Answer, FakeTransport, Sent
from tests.providers.uploads import ProbeError, UploadSource
from tests.providers.wire import Error

CREATED = datetime(2026, 11, 20, 9, 15, 2, tzinfo=UTC)
FILE_ID = "file-2f9c1c1e-6a0b-4d2e-9e57-0b5a5d3c7f10"
ANNOUNCE: Match = {"method": "POST", "path": "/v1/files$"}
INITIATE: Match = {"method": "POST", "path": "/multipart/initiate$"}
PUT: Match = {"method": "PUT"}
DELETE: Match = {"method": "DELETE"}


IN_SMALL_PARTS: Mapping[str, int] = {
    "direct_upload_bytes": 0,
    "multipart_above_bytes": 0,
    "part_bytes": 1_000,
}


def limited(driver: Driver, limits: Mapping[str, int]) -> Driver:
    for name, value in limits.items():
        assert hasattr(driver, name)
        setattr(driver, name, value)
    return driver


class TogetherUpload(UploadContract):
    driver = "together"
    dialect = "together"
    planted_purpose = "batch-api"
    recorded_in = "none"

    #: What the driver's own limits become, so that small files take the flow.
    limits: ClassVar[Mapping[str, int]]

    def make(self, fake: FakeProvider, *, transport: HTTPTransport | None = None) -> Driver:
        return limited(super().make(fake, transport=transport), self.limits)

    def source(self, **changes: Any) -> UploadSource:
        return super().source(**{"announced": True, **changes})

    @pytest.mark.parametrize("status", [400, 403, 413, 422, 429, 500, 503])
    def test_a_refused_upload_becomes_the_right_error(self, fake: FakeProvider, status: int) -> None:
        """All but 401, which has a meaning of its own at Together."""
        super().test_a_refused_upload_becomes_the_right_error(fake, status)

    def steps(self, fake: FakeProvider) -> list[str]:
        """Return method and last segment of every request so far."""
        return [f"{each.method} {each.path.rpartition('/')[2]}" for each in fake.requests]


class TestDirectUpload(TogetherUpload, DriverContract):
    create_request: ClassVar[Match] = {"method": "POST", "path": "/files/upload$"}
    limits: ClassVar[Mapping[str, int]] = {"direct_upload_bytes": GiB}
    recorded_in = "together"
    expected = {
        "create-direct": RemoteFile(
            FILE_ID,
            bytes=len(DriverContract.content),
            created_at=CREATED,
            filename="requests.jsonl",
            purpose="batch",
            status="uploaded",
        ),
        "retrieve-completed": RemoteFile(
            FILE_ID, bytes=48_213, created_at=CREATED, filename="train.jsonl", purpose="fine-tune"
        ),
        "retrieve-invalid_format": RemoteFile(
            FILE_ID,
            bytes=48_213,
            created_at=CREATED,
            filename="train.jsonl",
            purpose="fine-tune",
            status="error",
            status_details="line 3 is not valid JSON",
        ),
        "retrieve-older": RemoteFile(
            FILE_ID,
            bytes=2_664,
            created_at=CREATED,
            filename="train.jsonl",
            purpose="fine-tune",
            status="uploaded",
        ),
        "retrieve-generated": RemoteFile(
            FILE_ID, bytes=91, created_at=CREATED, filename="output.jsonl", purpose="batch_output"
        ),
        "retrieve-calibration": RemoteFile(
            FILE_ID, bytes=91, created_at=CREATED, filename="c.jsonl", purpose="calibration"
        ),
        "retrieve-missing": Error(RemoteFileNotFoundError, "File not found", "invalid_request_error"),
        "list-files": (FILE_ID, "file-7d0e2a34-0000-4000-8000-000000000001"),
        "delete-done": None,
    }

    @pytest.mark.parametrize(
        ("filename", "file_type"),
        [("a.jsonl", "jsonl"), ("a.csv", "csv"), ("a.parquet", "parquet"), ("A.CSV", "csv"), ("a", "jsonl")],
    )
    def test_the_form_has_type_and_purpose_of_its_own(self, filename: str, file_type: str) -> None:
        transport = FakeTransport(Answer({"id": FILE_ID, "object": "file"}))
        source = self.source(purpose="evals", filename=filename)
        build_driver("together", self.config("http://127.0.0.1:9", transport=transport)).create_file(
            source.upload
        )
        (sent,) = transport.sent
        for name, value in (("purpose", "eval"), ("file_name", filename), ("file_type", file_type)):
            assert f'name="{name}"\r\n\r\n{value}\r\n' in sent.text
        assert sent.headers["Content-Length"] == str(len(sent.body))

    def test_a_purpose_that_together_lacks_is_refused_before_any_request(self, fake: FakeProvider) -> None:
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source(purpose="user_data").upload)
        assert caught.value.param == "purpose"
        assert fake.requests == []

    @pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
    def test_the_endpoint_may_end_in_v1(self, fake: FakeProvider, suffix: str) -> None:
        options = {"base_url": fake.url("together") + suffix}
        assert build_driver("together", self.config("", options=options)).list_files().files == ()

    def test_a_list_without_data_is_invalid(self, fake: FakeProvider) -> None:
        fake.script({"method": "GET"}, behaviours.answer(json_body={"data": None}))
        with pytest.raises(InvalidResponseError):
            self.make(fake).list_files()

    def test_a_file_that_is_not_deleted_is_tried_again(self, fake: FakeProvider) -> None:
        fake.script(DELETE, behaviours.not_deleted(FILE_ID))
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).delete_file(FILE_ID)
        assert caught.value.retryable


class TestSlot(TogetherUpload):
    create_request: ClassVar[Match] = {"method": "POST", "path": "/preprocess$"}
    limits: ClassVar[Mapping[str, int]] = {"direct_upload_bytes": 0}

    def test_the_bytes_go_to_the_storage_without_credentials(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source().upload)
        assert self.steps(fake) == ["POST files", f"PUT {created.remote_id}", "POST preprocess"]
        announce, put, preprocess = fake.requests
        assert announce.part_names == ["purpose", "file_name", "file_type", "checksum"]
        assert announce.parts[-1].text == sha256(self.content).hexdigest()
        assert put.headers.get("content-length") == str(len(self.content))
        assert "authorization" not in put.headers
        assert preprocess.body_bytes == 0

    def test_nothing_is_preprocessed_before_the_last_check(self, fake: FakeProvider) -> None:
        with pytest.raises(ProbeError):
            self.make(fake).create_file(self.source(fails="at the last check").upload)
        assert "POST preprocess" not in self.steps(fake)
        assert self.steps(fake)[-1].startswith("DELETE")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirected_upload_is_sent_again_from_the_start(self, fake: FakeProvider, status: int) -> None:
        hop = "http://storage.example/elsewhere"

        def answer(sent: Sent) -> Answer:
            if sent.path == "/v1/files":
                return Answer(
                    status=302,
                    headers={"Location": "http://storage.example/slot", "X-Together-File-Id": FILE_ID},
                )
            if sent.path == "/slot":
                return Answer(status=status, headers={"Location": hop})
            return Answer({"id": FILE_ID})

        transport = FakeTransport(answer)
        driver = build_driver("together", self.config("http://127.0.0.1:9", transport=transport))
        limited(driver, self.limits).create_file(self.source(chunk_bytes=512).upload)
        first, again = transport.sent[1:3]
        assert (first.method, again.method, again.url) == ("PUT", "PUT", hop)
        assert first.body == again.body == self.content
        assert again.headers["Content-Length"] == str(len(self.content))

    def test_a_redirect_cannot_be_followed_without_the_spool(self, fake: FakeProvider) -> None:
        moved = behaviours.answer(307, headers=(("Location", f"{fake.storage_root}/x"),))
        fake.script(PUT, moved)
        source = self.source()
        part = source.upload.open_file()
        object.__setattr__(part, "reopen", None)
        source.upload.parts = iter([part])
        with pytest.raises(InvalidResponseError, match="twice"):
            self.make(fake).create_file(source.upload)

    def test_a_slot_at_plain_http_is_refused(self) -> None:
        headers = {"Location": "http://storage.example/slot", "X-Together-File-Id": FILE_ID}
        answers = [Answer(status=302, headers=headers), Answer({"id": FILE_ID, "deleted": True})]
        transport = FakeTransport(answers)
        config = self.config("https://api.together.ai", transport=transport)
        with pytest.raises(InvalidResponseError):
            limited(build_driver("together", config), self.limits).create_file(self.source().upload)
        assert [each.method for each in transport.sent] == ["POST", "DELETE"]

    def test_a_redirect_to_plain_http_is_refused(self) -> None:
        headers = {"Location": "https://storage.example/slot", "X-Together-File-Id": FILE_ID}
        answers = [
            Answer(status=302, headers=headers),
            Answer(status=307, headers={"Location": "http://storage.example/elsewhere"}),
            Answer({"id": FILE_ID, "deleted": True}),
        ]
        transport = FakeTransport(answers)
        config = self.config("https://api.together.ai", transport=transport)
        with pytest.raises(InvalidResponseError):
            limited(build_driver("together", config), self.limits).create_file(self.source().upload)
        assert [each.method for each in transport.sent] == ["POST", "PUT", "DELETE"]

    @pytest.mark.parametrize(
        ("location", "file_id"),
        [
            (None, FILE_ID),
            ("", FILE_ID),
            ("file:///etc/passwd", FILE_ID),
            ("https://user:pass@storage.example/x", FILE_ID),
            ("https://storage.example/x", None),
            ("https://storage.example/x", "../files"),
        ],
    )
    def test_a_slot_that_cannot_be_used_is_invalid(
        self, fake: FakeProvider, location: str | None, file_id: str | None
    ) -> None:
        pairs = (("Location", location), ("X-Together-File-Id", file_id))
        headers = [(name, value) for name, value in pairs if value is not None]
        fake.script(ANNOUNCE, behaviours.answer(302, headers=headers))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)
        assert not any(each.method == "PUT" for each in fake.requests)

    @pytest.mark.parametrize("status", [200, 201])
    def test_a_success_without_a_slot_is_invalid(self, fake: FakeProvider, status: int) -> None:
        fake.script(ANNOUNCE, behaviours.answer(status, json_body={"id": FILE_ID}))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    @pytest.mark.parametrize("status", [201, 204, 400, 403, 404, 500, 503])
    def test_storage_that_does_not_answer_200_fails_the_upload(self, fake: FakeProvider, status: int) -> None:
        fake.script(
            PUT, behaviours.answer(status, "<Error><Code>AccessDenied</Code></Error>" * (status > 204))
        )
        with pytest.raises(ProviderError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not isinstance(caught.value, CredentialsError)
        assert "<" not in caught.value.message and "sig=" not in caught.value.message
        assert self.steps(fake)[-1].startswith("DELETE")

    def test_an_early_answer_stops_the_upload(self, fake: FakeProvider) -> None:
        fake.script(PUT, behaviours.answer(413, "<Error/>", after_body_bytes=1_000))
        source = self.source(content=bytes(65_536), repeat=4_096)
        with pytest.raises(FileRejectedError):
            self.make(fake).create_file(source.upload)
        assert source.pulled_bytes < source.total_bytes // 2
        assert fake.store("together") == []

    @pytest.mark.parametrize("resets", [False, True])
    def test_a_connection_that_breaks_is_unavailable(self, fake: FakeProvider, resets: bool) -> None:
        fake.script(PUT, behaviours.drop(after_body_bytes=100, resets=resets))
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered
        assert fake.store("together") == []

    def test_a_file_that_is_there_already_is_answered_with(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake)
        source = self.source()
        found = self.make(fake).create_file(source.upload)
        assert (found.remote_id, found.deduplicated, found.bytes) == (remote_id, True, len(self.content))
        assert source.passed_its_checks
        assert self.steps(fake) == ["POST files", f"GET {remote_id}"]

    @pytest.mark.parametrize("step", ["preprocess$", "/files/[^/]+$"], ids=["new", "there already"])
    def test_what_is_shown_late_is_asked_for_again(
        self, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
        if step != "preprocess$":
            self.plant(fake)
        fake.script({"path": step, "times": 2}, behaviours.fail(404))
        assert self.make(fake).create_file(self.source().upload).bytes == len(self.content)
        assert fake.unused_behaviours() == 0

    def test_what_is_not_shown_leaves_the_outcome_open(
        self, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "ASK_AGAIN_SECONDS", 0)
        fake.script({"path": "preprocess$"}, behaviours.fail(404))
        with pytest.raises(ProviderTimeoutError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered

    def test_a_duplicate_is_still_checked(self, fake: FakeProvider) -> None:
        self.plant(fake)
        with pytest.raises(ProbeError):
            self.make(fake).create_file(self.source(fails="at the last check").upload)
        assert len(fake.store("together")) == 1

    def test_a_duplicate_with_another_purpose_is_refused(self, fake: FakeProvider) -> None:
        self.plant(fake, purpose="fine-tune")
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert (caught.value.status_code, caught.value.code) == (409, "duplicate_file")
        assert len(fake.store("together")) == 1

    @pytest.mark.parametrize("body", [{}, {"file_id": "../x"}, {"file_id": 7}])
    def test_a_duplicate_without_an_id_is_invalid(self, fake: FakeProvider, body: dict[str, Any]) -> None:
        fake.script(ANNOUNCE, behaviours.answer(409, json_body=body))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_a_401_with_a_key_that_works_is_no_bad_key(self, fake: FakeProvider) -> None:
        fake.script(ANNOUNCE, behaviours.fail(401))
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert (caught.value.status_code, caught.value.code) == (402, "insufficient_quota")

    def test_a_401_with_a_bad_key_is_one(self, fake: FakeProvider) -> None:
        config = self.config(self.url(fake), credentials={"api_key": "wrong"})
        with pytest.raises(CredentialsError):
            limited(build_driver("together", config), self.limits).create_file(self.source().upload)

    def test_another_file_than_the_announced_is_invalid(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.patched({"id": "file-other"}))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_it_says_when_cleaning_up_failed(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.fail(429))
        fake.script(DELETE, behaviours.fail(500))
        with pytest.raises(RateLimitedError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered, "the file may still be there"


class TestParts(TogetherUpload):
    """The flow for the largest files, with limits that small ones reach."""

    create_request: ClassVar[Match] = {"method": "POST", "path": "/multipart/complete$"}
    limits: ClassVar[Mapping[str, int]] = IN_SMALL_PARTS
    id_path = "file.id"
    size_path = "file.bytes"

    def test_parts_of_equal_size_are_sent_without_credentials(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source(chunk_bytes=333).upload)
        puts = [each for each in fake.requests if each.method == "PUT"]
        sizes = [each.body_bytes for each in puts]
        assert sizes == [1_000, 1_000, 1_000, 680]
        assert [each.path.rpartition("/")[2] for each in puts] == ["1", "2", "3", "4"]
        assert all("authorization" not in each.headers for each in puts)
        assert created.bytes == len(self.content)

    def test_the_largest_file_has_no_more_parts_than_allowed(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        assert isinstance(driver, TogetherDriver)
        driver.max_parts = 2
        driver.create_file(self.source().upload)
        assert [each.body_bytes for each in fake.requests if each.method == "PUT"] == [1_840, 1_840]

    @pytest.mark.parametrize("step", ["part", "complete"])
    def test_a_step_that_fails_aborts_the_upload(self, fake: FakeProvider, step: str) -> None:
        match: Match = {"method": "PUT", "skip": 2} if step == "part" else self.create_request
        fake.script(match, behaviours.fail(500))
        with pytest.raises(ProviderUnavailableError):
            self.make(fake).create_file(self.source().upload)
        assert "POST abort" in self.steps(fake)
        assert fake.store("together") == []
        assert fake.unused_behaviours() == 0

    def test_nothing_is_completed_before_the_last_check(self, fake: FakeProvider) -> None:
        with pytest.raises(ProbeError):
            self.make(fake).create_file(self.source(fails="at the last check").upload)
        assert "POST complete" not in self.steps(fake) and "POST abort" in self.steps(fake)

    def test_an_early_answer_stops_the_upload(self, fake: FakeProvider) -> None:
        fake.script(PUT, behaviours.answer(413, "<Error/>", after_body_bytes=100))
        source = self.source()
        with pytest.raises(FileRejectedError):
            self.make(fake).create_file(source.upload)
        assert sum(each.method == "PUT" for each in fake.requests) == 1
        assert fake.store("together") == []

    def test_a_duplicate_is_answered_with(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake)
        assert self.make(fake).create_file(self.source().upload).remote_id == remote_id
        assert self.steps(fake) == ["POST initiate", f"GET {remote_id}"]

    def test_a_part_without_an_etag_fails_the_upload(self, fake: FakeProvider) -> None:
        fake.script(PUT, behaviours.answer(200))
        with pytest.raises(InvalidResponseError, match="ETag"):
            self.make(fake).create_file(self.source().upload)
        assert "POST abort" in self.steps(fake)

    @pytest.mark.parametrize("parts", [None, [], [{"PartNumber": 1, "URL": "http://127.0.0.1:9/1"}], "4"])
    def test_wrong_parts_are_invalid(self, fake: FakeProvider, parts: Any) -> None:
        fake.script(INITIATE, behaviours.patched({"parts": parts}))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_both_spellings_of_a_part_are_read(self) -> None:
        parts = [
            {"part_number": 2, "UploadURL": "http://storage.example/2", "Headers": {"X-Part": "two"}},
            {"PartNumber": 1, "URL": "http://storage.example/1"},
        ]

        def answer(sent: Sent) -> Answer:
            if sent.path.endswith("/initiate"):
                return Answer({"upload_id": "upl-1", "file_id": FILE_ID, "parts": parts})
            if sent.method == "PUT":
                return Answer(headers={"ETag": f'"tag{sent.path}"'})
            return Answer({"id": FILE_ID})  # bare, and without `object`

        transport = FakeTransport(answer)
        driver = build_driver("together", self.config("http://127.0.0.1:9", transport=transport))
        limited(driver, self.limits).create_file(self.source(content=b"x" * 1_500).upload)
        initiate, first, second, complete = transport.sent
        assert json.loads(initiate.text) == {
            "purpose": "batch-api",
            "file_name": "requests.jsonl",
            "file_type": "jsonl",
            "checksum": sha256(b"x" * 1_500).hexdigest(),
            "file_size": 1_500,
            "num_parts": 2,
        }
        assert (first.url, len(first.body)) == ("http://storage.example/1", 1_000)
        assert (second.url, second.headers["X-Part"], len(second.body)) == (
            "http://storage.example/2",
            "two",
            500,
        )
        assert json.loads(complete.text) == {
            "upload_id": "upl-1",
            "file_id": FILE_ID,
            "parts": [{"part_number": 1, "etag": "tag/1"}, {"part_number": 2, "etag": "tag/2"}],
        }
