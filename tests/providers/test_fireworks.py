"""Fireworks' datasets."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from providers import patience
from providers.base import Driver
from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
    UnsupportedOperationError,
)
from providers.fireworks import FireworksDriver, count_lines, dataset_id_for, signed_headers
from providers.objects import GiB, RemoteFile
from providers.registry import build_driver
from providers.transports.http import HTTPTransport
from tests.fake_provider import FakeProvider, Match, behaviours
from tests.providers.contract import DriverContract, UploadContract
from tests.providers.transport import Answer, FakeTransport, Sent
from tests.providers.uploads import UploadSource
from tests.providers.wire import Error, read

CREATED = datetime(2026, 11, 20, 9, 15, 2, 481337, UTC)
CREATE: Match = {"method": "POST", "path": "/datasets$"}
DELETE: Match = {"method": "DELETE"}
DOWNLOAD: Match = {"path": ":getDownloadEndpoint$"}


class FireworksUpload(UploadContract):
    """The contract for an id that the gateway chooses and answers whose members are all optional."""

    driver = "fireworks"
    dialect = "fireworks"
    options = {"account_id": "acme"}
    planted_purpose = ""
    #: The paths of the requests to the API that make up one upload.
    steps: ClassVar[tuple[str, ...]]

    def source(self, **changes: Any) -> UploadSource:
        source = super().source(**{"announced": True, **changes})
        content = b"".join(source.chunks[:100])
        source.upload.file_id = f"file-{hashlib.sha256(content).hexdigest()[:26]}"
        return source

    def content_path(self, remote_id: str) -> str:
        return f"^/fireworks/{remote_id}/"

    @pytest.mark.parametrize("remote_id", [17, "", "..", "../secret", "another-dataset", ["a"]])
    def test_an_unusable_id_is_invalid(self, fake: FakeProvider, remote_id: Any) -> None:
        fake.script(self.create_request, behaviours.patched({"id": remote_id}))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)
        assert fake.store("fireworks") == []

    @pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param(behaviours.html(stored=True), id="html"),
            pytest.param(behaviours.garbage(stored=True), id="garbage"),
            pytest.param(behaviours.answer(200, json_body=[], stored=True), id="a list"),
            pytest.param(behaviours.answer(200, b"", stored=True), id="no body"),
            pytest.param(behaviours.huge_json(), id="too large"),
        ],
    )
    def test_a_success_that_makes_no_sense_is_invalid(self, fake: FakeProvider, behaviour: Any) -> None:
        fake.script(self.create_request, behaviour)
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)
        assert fake.store("fireworks") == []

    @pytest.mark.parametrize("status", [400, 401, 429, 500])
    def test_a_step_that_fails_leaves_no_dataset(self, fake: FakeProvider, status: int) -> None:
        for path in self.steps:
            fake.script({"path": path}, behaviours.fail(status))
            with pytest.raises(ProviderError) as caught:
                self.make(fake).create_file(self.source().upload)
            assert caught.value.status_code == status
            assert fake.store("fireworks") == []
        assert fake.unused_behaviours() == 0


class TestDirectUpload(FireworksUpload, DriverContract):
    create_request: ClassVar[Match] = {"method": "POST", "path": ":upload$"}
    steps = ("/datasets$", ":upload$")
    expected = {
        "create-uploaded": RemoteFile(
            "file-" + hashlib.sha256(FireworksUpload.content).hexdigest()[:26],
            bytes=len(FireworksUpload.content),
            created_at=datetime(2026, 11, 20, 9, 15, 2, tzinfo=UTC),
            filename="requests.jsonl",
            purpose="batch",
            status="uploaded",
        ),
        "create-exists": Error(FileRejectedError, "dataset file-1 already exists", "6"),
        "retrieve-ready": RemoteFile("train-0042", created_at=CREATED, filename="train.jsonl"),
        "retrieve-failed": RemoteFile(
            "train-0042",
            created_at=CREATED,
            filename="train.jsonl",
            status="error",
            status_details="line 7 is not JSON",
        ),
        "retrieve-uploading": RemoteFile(
            "train-0042", created_at=CREATED, filename="train.jsonl", status="uploaded"
        ),
        "list-datasets": ("train-0042", "output-7"),
    }

    def make(self, fake: FakeProvider, *, transport: HTTPTransport | None = None) -> Driver:
        return limited(super().make(fake, transport=transport), GiB)

    @pytest.mark.parametrize("given", ["application/octet-stream", "", "application/jsonl"])
    def test_a_type_is_the_clients_or_the_names_or_left_out(self, fake: FakeProvider, given: str) -> None:
        """The name is the one under which the bytes are sent, whatever the client's."""
        self.make(fake).create_file(self.source(content_type=given, filename="data").upload)
        assert self.sent_type(fake) == "application/jsonl"

    def test_the_dataset_is_announced_with_its_examples(self) -> None:
        transport = FakeTransport(Answer({}))
        config = self.config("http://127.0.0.1:9", transport=transport)
        source = self.source(content=b'{"a": 1}\n\n{"b": 2}', filename="päper 📎.jsonl")
        build_driver("fireworks", config).create_file(source.upload)
        create, upload = transport.sent
        dataset_id = source.upload.file_id
        assert create.path == "/v1/accounts/acme/datasets"
        assert json.loads(create.text) == {
            "datasetId": dataset_id,
            "dataset": {"displayName": "päper 📎.jsonl", "exampleCount": "2", "userUploaded": {}},
        }
        assert upload.path == f"/v1/accounts/acme/datasets/{dataset_id}:upload"
        assert f'name="file"; filename="{dataset_id}.jsonl"' in upload.text
        assert upload.headers["Content-Length"] == str(len(upload.body))

    def test_a_dataset_that_was_there_already_is_not_deleted(self, fake: FakeProvider) -> None:
        source = self.source()
        self.plant(fake, remote_id=source.upload.file_id)
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(source.upload)
        assert caught.value.status_code == 409
        assert len(fake.store("fireworks")) == 1

    def test_a_lost_answer_to_the_first_step_is_cleaned_up(self, fake: FakeProvider) -> None:
        fake.script(CREATE, behaviours.store_then_drop())
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered
        assert fake.store("fireworks") == []

    def test_it_says_when_cleaning_up_failed(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.fail(400))
        fake.script(DELETE, behaviours.fail(500))
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered, "the empty dataset is still there"

    def test_a_purpose_that_datasets_do_not_serve_is_refused(self, fake: FakeProvider) -> None:
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(self.source(purpose="vision").upload)
        assert caught.value.param == "purpose"
        assert fake.requests == []

    def test_it_pages_by_token(self, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FireworksDriver, "list_query", {"pageSize": "2"})
        planted = [self.plant(fake, created_at=number) for number in (1, 2, 3)]
        driver = self.make(fake)
        page = driver.list_files()
        assert page.next_cursor is not None
        last = driver.list_files(cursor=page.next_cursor)
        assert [each.remote_id for each in (*page.files, *last.files)] == planted[::-1]
        assert last.next_cursor is None

    def test_shards_are_joined_in_the_order_of_their_names(self, fake: FakeProvider) -> None:
        ids = {name: self.plant(fake, content=content) for name, content in (("b", b"2\n"), ("a", b"1\n"))}
        urls = {f"{n}.jsonl": f"{fake.storage_root}/fireworks/{i}/x?sig=fake" for n, i in ids.items()}
        fake.script(DOWNLOAD, behaviours.answer(json_body={"filenameToSignedUrls": urls}))
        download = self.make(fake).download_file(ids["a"])
        assert (b"".join(download.chunks), download.length) == (b"1\n2\n", None)
        download.close()
        assert all("authorization" not in each.headers for each in fake.requests[1:])

    @pytest.mark.parametrize("names", [[], ["a.jsonl", "b.parquet"]])
    def test_what_cannot_be_joined_has_no_content(self, fake: FakeProvider, names: list[str]) -> None:
        urls = {name: f"{fake.storage_root}/fireworks/x/{name}?sig=fake" for name in names}
        fake.script(DOWNLOAD, behaviours.answer(json_body={"filenameToSignedUrls": urls}))
        with pytest.raises(UnsupportedOperationError):
            read(self.make(fake), "d1")

    def test_accounts_of_one_endpoint_are_told_apart(self) -> None:
        url = "https://api.fireworks.ai"
        first, second = (
            build_driver("fireworks", self.config("", options={"base_url": url, "account_id": name}))
            for name in ("acme", "other")
        )
        assert not first.location().overlaps(second.location())

    def test_the_account_is_needed(self) -> None:
        with pytest.raises(ProviderConfigurationError, match="account_id"):
            build_driver("fireworks", self.config("", options={}))

    def test_the_account_cannot_leave_its_place_in_the_path(self) -> None:
        transport = FakeTransport(Answer({"datasets": []}))
        options = {"base_url": "http://127.0.0.1:9", "account_id": "a/../b?x"}
        build_driver("fireworks", self.config("", options=options, transport=transport)).list_files()
        assert transport.sent[0].path == "/v1/accounts/a%2F..%2Fb%3Fx/datasets"


class TestSignedUpload(FireworksUpload):
    """The flow for files above the limit of direct uploads, which is lowered here."""

    create_request: ClassVar[Match] = {"method": "POST", "path": ":validateUpload$"}
    steps = ("/datasets$", ":getUploadEndpoint$", ":validateUpload$")
    recorded_in = "none"

    def make(self, fake: FakeProvider, *, transport: HTTPTransport | None = None) -> Driver:
        return limited(super().make(fake, transport=transport), 0)

    def test_a_wrong_size_is_invalid(self, fake: FakeProvider) -> None:
        wrong = behaviours.patched({"bytes": 1})
        fake.script(self.create_request, wrong)
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_an_early_answer_stops_the_upload(self, fake: FakeProvider) -> None:
        fake.script({"method": "PUT"}, behaviours.answer(413, "<Error/>", after_body_bytes=1_000))
        source = self.source(content=bytes(65_536), repeat=4_096)
        with pytest.raises(FileRejectedError):
            self.make(fake).create_file(source.upload)
        assert source.pulled_bytes < source.total_bytes // 2
        assert fake.store("fireworks") == []

    @pytest.mark.parametrize("resets", [False, True])
    def test_a_connection_that_breaks_is_unavailable(self, fake: FakeProvider, resets: bool) -> None:
        fake.script({"method": "PUT"}, behaviours.drop(after_body_bytes=100, resets=resets))
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered
        assert fake.store("fireworks") == []

    def test_the_bytes_go_to_the_storage_without_credentials(self, fake: FakeProvider) -> None:
        source = self.source()
        self.make(fake).create_file(source.upload)
        steps = [(each.dialect, each.path.rpartition("/")[2].rpartition(":")[2]) for each in fake.requests]
        assert steps == [
            ("fireworks", "datasets"),
            ("fireworks", "getUploadEndpoint"),
            ("storage", f"{source.upload.file_id}.jsonl"),
            ("fireworks", "validateUpload"),
        ]
        put = fake.requests[2]
        assert put.headers.get("content-length") == str(len(self.content))
        assert "authorization" not in put.headers

    def test_nothing_is_validated_before_the_last_check(self, fake: FakeProvider) -> None:
        with pytest.raises(Exception, match="refused"):
            self.make(fake).create_file(self.source(fails="at the last check").upload)
        assert not any(each.path.endswith(":validateUpload") for each in fake.requests)

    def test_a_redirected_upload_is_sent_again_from_the_start(self, fake: FakeProvider) -> None:
        source = self.source(chunk_bytes=512)
        target = f"{fake.storage_root}/fireworks/{source.upload.file_id}/{source.upload.file_id}.jsonl?sig=2"
        moved = behaviours.answer(307, headers=(("Location", target),), after_body_bytes=1_000)
        fake.script({"method": "PUT"}, moved)
        self.make(fake).create_file(source.upload)
        assert fake.store("fireworks")[0].content() == self.content

    def test_a_dataset_that_is_shown_late_is_asked_for_again(
        self, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
        for step in (":getUploadEndpoint$", ":validateUpload$"):
            fake.script({"path": step, "times": 2}, behaviours.fail(404))
        self.make(fake).create_file(self.source().upload)
        assert fake.unused_behaviours() == 0

    def test_no_url_for_the_file_is_invalid(self, fake: FakeProvider) -> None:
        fake.script(
            {"path": ":getUploadEndpoint$"}, behaviours.answer(json_body={"filenameToSignedUrls": {}})
        )
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)
        assert fake.store("fireworks") == []

    def test_signed_headers_are_sent(self) -> None:
        url = "http://127.0.0.1:9/bucket/x?X-Goog-SignedHeaders=content-type;host;x-goog-content-length-range"

        def answer(sent: Sent) -> Answer:
            shard = f"{source.upload.file_id}.jsonl"
            urls = {"filenameToSignedUrls": {shard: url}} if sent.path.endswith("Endpoint") else {}
            return Answer(urls)

        source, transport = self.source(), FakeTransport(answer)
        driver = build_driver("fireworks", self.config("http://127.0.0.1:9", transport=transport))
        limited(driver, 0).create_file(source.upload)
        size = len(self.content)
        put = transport.sent[2]
        assert put.headers["x-goog-content-length-range"] == f"{size},{size}"
        assert put.headers["content-type"] == "application/octet-stream"


def limited(driver: Driver, direct_upload_bytes: int) -> Driver:
    assert isinstance(driver, FireworksDriver)
    driver.direct_upload_bytes = direct_upload_bytes
    return driver


def test_headers_that_were_not_signed_are_left_out() -> None:
    assert signed_headers("https://storage.example/x?X-Goog-SignedHeaders=host", 5) == {}


@pytest.mark.parametrize(
    ("file_id", "dataset_id"),
    [
        ("file-ABC_1", "file-abc-1"),
        ("--file--", "file"),
        ("file-" + "a" * 80, "file-" + "a" * 58),
    ],
)
def test_a_dataset_id_has_the_characters_that_fireworks_takes(file_id: str, dataset_id: str) -> None:
    assert dataset_id_for(file_id) == dataset_id


@pytest.mark.parametrize(
    ("chunks", "count"),
    [
        ([], 0),
        ([b"{}"], 1),
        ([b"{}\n{}\n"], 2),
        ([b"{", b"}", b"\n", b"{}"], 2),
        ([b"{}\n", b"\n", b" \r\n", b"{}\r\n"], 2),
    ],
)
def test_lines_are_counted_however_they_are_cut(chunks: list[bytes], count: int) -> None:
    assert count_lines(iter(chunks)) == count
