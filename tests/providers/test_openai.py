"""OpenAI's own file API, and what the family shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderUnavailableError,
    RemoteFileNotFoundError,
)
from providers.generic import OpenAIDriver
from providers.objects import RemoteFile
from providers.registry import build_driver
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.providers.compatible_contract import FamilyContract, build
from tests.providers.contract import Error
from tests.providers.transport import Answer, Sent
from tests.providers.uploads import UploadSource

FILE = RemoteFile(
    remote_id="file-7Qd2mWx9LrTz41",
    bytes=1482,
    created_at=datetime.fromtimestamp(1_795_400_000, UTC),
    filename="march-run.jsonl",
    purpose="batch",
    expires_at=datetime.fromtimestamp(1_795_486_400, UTC),
)


class TestOpenAI(FamilyContract):
    driver = "openai"
    dialect = "openai"
    expected = {
        "retrieve-file": FILE,
        "retrieve-evals": replace(FILE, remote_id="file-evals1", purpose="evals", expires_at=None),
        "list-files": (FILE.remote_id,),
        "list-empty": (),
        "delete-file": None,
        "delete-missing": Error(
            RemoteFileNotFoundError, "No such File object: file-doesnotexist", "invalid_request_error", "id"
        ),
        "content-of-assistants": Error(
            FileRejectedError, "Not allowed to download files of purpose: assistants", "invalid_request_error"
        ),
        "create-bad-purpose": Error(
            FileRejectedError,
            "'x' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
            " - 'purpose'",
            "invalid_request_error",
            "purpose",
        ),
    }

    def test_expiry_goes_out_as_openai_writes_it(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source(expires_after_seconds=7_200).upload)
        (request,) = fake.requests
        fields = {part.name: part.text for part in request.parts if part.filename is None}
        assert fields["expires_after[anchor]"] == "created_at"
        assert fields["expires_after[seconds]"] == "7200"
        assert created.created_at and created.expires_at
        assert (created.expires_at - created.created_at).total_seconds() == 7_200

    def test_the_parts_keep_their_order(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source(file_first=True, expires_after_seconds=7_200).upload)
        (request,) = fake.requests
        assert request.part_names == ["file", "purpose", "expires_after[anchor]", "expires_after[seconds]"]

    @pytest.mark.parametrize("announced", [False, True])
    def test_a_length_is_announced_only_where_it_is_known(self, fake: FakeProvider, announced: bool) -> None:
        self.make(fake).create_file(self.source(announced=announced).upload)
        (request,) = fake.requests
        assert ("content-length" in request.headers) == announced
        assert (request.headers.get("transfer-encoding") == "chunked") == (not announced)
        if announced:
            assert int(request.headers.get("content-length") or 0) == request.body_bytes

    def test_a_success_before_the_file_was_sent_is_invalid(self, fake: FakeProvider) -> None:
        early = behaviours.answer(200, json_body={"id": "file-1", "object": "file"}, after_body_bytes=1_000)
        fake.script({"method": "POST"}, early)
        source = self.source(content=bytes(65_536), repeat=4_096)
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(source.upload)
        assert source.pulled_bytes < source.total_bytes

    def test_it_sends_organization_and_project(self, fake: FakeProvider) -> None:
        options = {"base_url": self.url(fake), "organization": "org-1", "project": "proj-2"}
        build_driver("openai", self.config("", options=options)).list_files()
        (request,) = fake.requests
        assert request.headers.get("OpenAI-Organization") == "org-1"
        assert request.headers.get("OpenAI-Project") == "proj-2"
        assert request.headers.get("Authorization") == f"Bearer {VALID_KEY}"


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", " org", "órg"])
@pytest.mark.parametrize("option", ["organization", "project"])
def test_it_refuses_an_option_that_no_header_can_hold(option: str, value: str) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        build(OpenAIDriver, Answer(), options={option: value})
    assert caught.value.field == option
    assert value not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-canary\n", " sk-canary", "sk-cänary", ""])
def test_it_refuses_a_key_that_no_header_can_hold(key: str) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        build(OpenAIDriver, Answer(), credentials={"api_key": key})
    assert caught.value.field == "api_key"
    assert "canary" not in str(caught.value)


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


class TestLists:
    @pytest.mark.parametrize(
        ("has_more", "ids", "cursor", "following"),
        [
            (True, ["a", "b"], None, "b"),
            (True, ["c"], "b", "c"),
            (False, ["a", "b"], None, None),
            (True, [], None, None),
            (None, ["a"], None, None),
            (None, ["a", "b"], None, "b"),
            ("yes", ["a"], None, None),
            (True, ["a", "b"], "b", None),
        ],
    )
    def test_a_page_says_where_the_next_begins(
        self, has_more: object, ids: list[str], cursor: str | None, following: str | None
    ) -> None:
        """The last case is a server that ignores `after`."""
        driver, wire = build(
            OpenAIDriver, Answer({"data": [{"id": each} for each in ids], "has_more": has_more})
        )
        driver.dialect = replace(driver.dialect, page_size=2)
        assert driver.list_files(cursor=cursor).next_cursor == following
        assert wire.sent[0].query == {"limit": "2", **({"after": cursor} if cursor else {})}

    @pytest.mark.parametrize("data", [None, "x", {}, [1], {"data": None}, [{"id": "a"}, {"id": "../b"}]])
    def test_a_list_that_is_none_is_invalid(self, data: object) -> None:
        driver, _ = build(OpenAIDriver, Answer({"object": "list", "data": data}))
        with pytest.raises(InvalidResponseError):
            driver.list_files()


def test_a_retrieve_of_another_file_is_invalid() -> None:
    driver, _ = build(OpenAIDriver, Answer({"id": "file-2"}))
    with pytest.raises(InvalidResponseError):
        driver.retrieve_file("file-1")


def test_a_purpose_that_the_provider_lacks_is_refused_before_anything_is_sent() -> None:
    driver, wire = build(OpenAIDriver, Answer())
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(UploadSource(b"x", purpose="batch_output").upload)
    assert caught.value.param == "purpose"
    assert wire.sent == []


def test_an_id_is_escaped_in_the_path() -> None:
    def answer(sent: Sent) -> Answer:
        return Answer({"id": "a:b~c=d"})

    driver, wire = build(OpenAIDriver, answer)
    driver.retrieve_file("a:b~c=d")
    assert wire.sent[0].path == "/v1/files/a%3Ab~c%3Dd"
