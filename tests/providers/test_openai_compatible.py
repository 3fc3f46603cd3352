"""What the family shares: lists, file objects and errors in the spellings seen there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.exceptions import (
    ConfigurationRefusedError,
    FileRejectedError,
    InvalidResponseError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from providers.generic import GenericDriver
from providers.objects import JSONValue, Operation, RemoteFile
from providers.openai import OpenAIDriver
from providers.openai_compatible import parse_file_object
from tests.providers.compatible_contract import build
from tests.providers.transport import Answer, Sent
from tests.providers.uploads import UploadSource

URL = "https://files.example/v1"
MOMENT = datetime.fromtimestamp(1_795_400_000, UTC)


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


class TestErrorsInASuccess:
    @pytest.mark.parametrize(
        ("body", "kind", "message"),
        [
            ({"error": {"message": "no", "code": 429}}, RateLimitedError, "no"),
            ({"error": "broken", "code": 503}, ProviderUnavailableError, "broken"),
            ({"error": {"message": "no", "type": "invalid_request_error"}}, FileRejectedError, "no"),
            ({"error": {"message": "why"}}, InvalidResponseError, "why"),
            ({"base_resp": {"status_code": 1004, "status_msg": "bad"}}, InvalidResponseError, "bad"),
            ({"code": 20012, "message": "bad", "data": None}, InvalidResponseError, "bad"),
            ({"code": "503", "message": "busy", "data": None}, ProviderUnavailableError, "busy"),
        ],
    )
    def test_the_error_that_it_means_is_raised(
        self, body: dict[str, object], kind: type[ProviderError], message: str
    ) -> None:
        driver, _ = build(GenericDriver, Answer(body), options={"flavor": "siliconflow"})
        with pytest.raises(ProviderError, match=message) as caught:
            driver.list_files()
        assert type(caught.value) is kind
        assert caught.value.provider == "the-account"

    def test_a_file_that_failed_is_still_a_file(self) -> None:
        body = {"id": "file-1", "status": "error", "error": {"message": "line 3"}}
        driver, _ = build(GenericDriver, Answer(body), options={"base_url": URL})
        assert driver.retrieve_file("file-1").status == "error"


def test_a_list_that_is_not_there_is_no_missing_file() -> None:
    driver, _ = build(GenericDriver, Answer(b"404 page not found", 404), options={"flavor": "zhipu"})
    with pytest.raises(ConfigurationRefusedError) as caught:
        driver.retrieve_file("file-1")
    assert caught.value.operation == Operation.RETRIEVE


def test_a_list_that_never_ends_is_not_searched_for_ever() -> None:
    driver, wire = build(
        GenericDriver,
        lambda sent: Answer({"data": [{"id": f"file-{len(wire.sent)}"}], "has_more": True}),
        options={"flavor": "zhipu"},
    )
    driver.dialect = replace(driver.dialect, page_size=1)
    with pytest.raises(InvalidResponseError):
        driver.retrieve_file("file-none")
    assert len(wire.sent) == 100


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"bytes": 7}, {"bytes": 7}),
        ({"size_bytes": 7}, {"bytes": 7}),
        ({"size": "7"}, {"bytes": 7}),
        ({"created_at": 1_795_400_000}, {"created_at": MOMENT}),
        ({"createdAt": 1_795_400_000_000}, {"created_at": MOMENT}),
        ({"expires_at": 1_795_400_000}, {"expires_at": MOMENT}),
        ({"expire_at": 1_795_400_000}, {"expires_at": MOMENT}),
        ({"expiresAt": None, "expire_at": "1795400000"}, {"expires_at": MOMENT}),
        ({"filename": "a.jsonl"}, {"filename": "a.jsonl"}),
        ({"name": "a.jsonl"}, {"filename": "a.jsonl"}),
        ({"mime_type": "text/csv"}, {"content_type": "text/csv"}),
        ({"mimetype": "text/csv"}, {"content_type": "text/csv"}),
        ({"content_type": "text/csv"}, {"content_type": "text/csv"}),
        ({"status_details": "line 3"}, {"status_details": "line 3"}),
        ({"never": "heard of", "bytes": "many", "created_at": []}, {}),
    ],
)
def test_every_spelling_of_a_member_is_read(body: dict[str, JSONValue], changes: dict[str, Any]) -> None:
    assert parse_file_object(body, "file-1") == replace(RemoteFile("file-1"), **changes)


@pytest.mark.parametrize("body", [{"file": {"file_id": "f-1"}}, {"data": {"id": "f-1"}}, {"file_id": "f-1"}])
def test_a_file_is_found_in_its_envelope(body: dict[str, object]) -> None:
    driver, _ = build(GenericDriver, Answer(body), options={"base_url": URL})
    assert driver.retrieve_file("f-1").remote_id == "f-1"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, "processed"),
        ("", "processed"),
        ("Ready", "processed"),
        ("active", "processed"),
        ("failed", "error"),
        ("processing", "uploaded"),
        ("never heard of", "uploaded"),
    ],
)
def test_a_status_is_mapped(given: str | None, status: str) -> None:
    driver, _ = build(GenericDriver, Answer({"id": "f-1", "status": given}), options={"base_url": URL})
    assert driver.retrieve_file("f-1").status == status
