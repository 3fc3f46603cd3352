"""OpenAI's own file API, and what the family shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    RemoteFileNotFoundError,
)
from providers.objects import RemoteFile
from providers.openai import OpenAIDriver
from providers.registry import build_driver
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.providers.compatible_contract import FamilyContract, build
from tests.providers.transport import Answer
from tests.providers.wire import Error

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
