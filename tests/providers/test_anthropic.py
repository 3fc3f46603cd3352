"""Anthropic: no purpose, names it refuses, downloads of generated files only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.base import Driver
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)
from providers.objects import RemoteFile
from providers.registry import build_driver
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.providers.contract import DriverContract
from tests.providers.transport import Answer, FakeTransport
from tests.providers.wire import Error

UPLOADED = RemoteFile(
    "file_01ExampleAbCdEf234567",
    bytes=48_213,
    created_at=datetime(2026, 11, 20, 9, 15, 2, 481000, UTC),
    filename="contract.pdf",
    expires_at=datetime(2026, 11, 27, 9, 15, 2, 481000, UTC),
    content_type="application/pdf",
)


class TestAnthropic(DriverContract):
    driver = "anthropic"
    dialect = "anthropic"
    purpose = "user_data"
    planted_purpose = ""
    size_path = "size_bytes"
    keeps_names = False
    expected = {
        "retrieve-uploaded": UPLOADED,
        "retrieve-generated": replace(
            UPLOADED,
            filename="plot.png",
            purpose="assistants_output",
            expires_at=None,
            content_type="image/png",
        ),
        "retrieve-sparse": replace(UPLOADED, expires_at=None),
        "retrieve-missing": Error(
            RemoteFileNotFoundError, "File `file_01ExampleAbCdEf234567` not found.", "not_found_error"
        ),
        "list-page": ("file_01ExampleAbCdEf234567", "file_01ExampleGhIjKl890123"),
        "list-last": (),
        "list-overloaded": Error(ProviderUnavailableError, "Overloaded", "overloaded_error"),
        "list-spend_limit": Error(
            RateLimitedError, "The spend limit is reached.", "enforced_spend_limit_reached"
        ),
        "content-expired": Error(
            RemoteFileNotFoundError, "File `file_01ExampleAbCdEf234567` has expired.", "file_expired"
        ),
        "content-not_downloadable": Error(
            UnsupportedOperationError,
            "Anthropic has no operation to download this file's content. Only files that Claude's tools and "
            "skills have made can be downloaded; an uploaded file can be used in messages by its id, "
            "retrieved, listed and deleted.",
            "unsupported_operation",
        ),
        "create-quota": Error(
            FileRejectedError, "The organization's file storage is full.", "storage_quota_exceeded"
        ),
        "delete-bad_key": Error(CredentialsError, "invalid x-api-key", "authentication_error"),
    }

    def plant(self, fake: FakeProvider, **changes: Any) -> str:
        return super().plant(fake, **{"extra": {"downloadable": True}, **changes})

    def answering(self, *answers: Answer, **options: str) -> tuple[Driver, FakeTransport]:
        transport = FakeTransport(list(answers))
        account = self.config(
            "", transport=transport, options={"base_url": "https://anthropic.example", **options}
        )
        return build_driver(self.driver, account), transport

    def test_a_file_makes_the_round_trip(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        created = driver.create_file(self.source().upload)
        assert fake.store("anthropic")[0].content() == self.content
        self.check_created(created, driver)
        assert driver.retrieve_file(created.remote_id) == created
        assert driver.list_files().files == (created,)
        driver.delete_file(created.remote_id)
        with pytest.raises(RemoteFileNotFoundError):
            driver.delete_file(created.remote_id)

    # Uploads

    def test_no_purpose_is_sent_and_the_expiry_is_renamed(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source(expires_after_seconds=7_200).upload)
        (request,) = fake.requests
        assert [(part.name, part.text) for part in request.parts] == [
            ("expires_in_seconds", "7200"),
            ("file", ""),
        ]
        assert created.expires_at is not None and created.created_at is not None
        assert created.expires_at - created.created_at == timedelta(seconds=7_200)

    def test_an_expiry_behind_the_file_is_not_lost(self, fake: FakeProvider) -> None:
        source = self.source(expires_after_seconds=7_200, file_first=True)
        assert self.make(fake).create_file(source.upload).expires_at is not None
        assert fake.requests[0].part_names == ["file", "expires_in_seconds"]

    def test_without_an_expiry_the_file_stays(self, fake: FakeProvider) -> None:
        assert self.make(fake).create_file(self.source().upload).expires_at is None

    @pytest.mark.parametrize(
        ("name", "stored"),
        [
            ('a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"),
            ("../../etc\\passwd", ".._.._etc_passwd"),
            ("a\r\nb\x00\x1f", "a__b__"),
            ("📊 \u202egpj.exe", "📊 \u202egpj.exe"),
            ("ü" * 255, "ü" * 255),
        ],
    )
    def test_a_name_is_made_acceptable(self, fake: FakeProvider, name: str, stored: str) -> None:
        assert self.make(fake).create_file(self.source(filename=name).upload).filename == stored

    # Headers

    def test_the_key_travels_in_its_own_header_and_no_beta_is_asked_for(self) -> None:
        driver, transport = self.answering(Answer({"id": "file_01"}))
        driver.retrieve_file("file_01")
        headers = {name.lower(): value for name, value in transport.sent[0].headers.items()}
        assert (headers["x-api-key"], headers["anthropic-version"]) == (VALID_KEY, "2026-10-21")
        assert not {"authorization", "anthropic-beta", "anthropic-workspace-id"} & set(headers)

    def test_version_and_workspace_can_be_set(self) -> None:
        driver, transport = self.answering(
            Answer({"id": "file_01"}), api_version="2023-06-01", workspace_id="wrkspc_1"
        )
        driver.retrieve_file("file_01")
        headers = transport.sent[0].headers
        assert (headers["anthropic-version"], headers["anthropic-workspace-id"]) == (
            "2023-06-01",
            "wrkspc_1",
        )

    # Lists

    def test_pages_are_as_large_as_they_may_be(self, fake: FakeProvider) -> None:
        for _ in range(1_005):
            fake.add_file("anthropic", filename="a.txt")
        driver = self.make(fake)
        first = driver.list_files()
        last = driver.list_files(cursor=first.next_cursor)
        assert (len(first.files), len(last.files), last.next_cursor) == (1_000, 5, None)

    @pytest.mark.parametrize("end", [{"next_page": None}, {"next_page": ""}, {}])
    def test_the_last_page_is_told_by_its_cursor(self, end: dict[str, object]) -> None:
        driver, _ = self.answering(Answer({"data": [{"id": "file_01"}], **end}))
        assert driver.list_files().next_cursor is None

    def test_an_empty_page_may_have_a_next_one(self) -> None:
        driver, _ = self.answering(Answer({"data": [], "next_page": "page_2"}))
        assert driver.list_files().next_cursor == "page_2"

    def test_an_expired_file_is_listed_with_its_past_expiry(self, fake: FakeProvider) -> None:
        self.plant(fake, created_at=1_700_000_000, expires_at=1_700_003_600)
        (found,) = self.make(fake).list_files().files
        assert found.expires_at is not None and found.expires_at < datetime.now(UTC)

    @pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": ["file_01"]}])
    def test_a_list_of_something_else_is_invalid(self, body: dict[str, object]) -> None:
        driver, _ = self.answering(Answer(body))
        with pytest.raises(InvalidResponseError):
            driver.list_files()

    # Downloads

    def test_an_uploaded_file_is_refused_with_what_is_possible(self, fake: FakeProvider) -> None:
        remote_id = self.plant(fake, extra={})
        with pytest.raises(UnsupportedOperationError, match="Only files that Claude's tools") as caught:
            self.make(fake).download_file(remote_id)
        assert (caught.value.code, caught.value.request_id) == ("unsupported_operation", "req_01Fake")

    def test_another_refusal_of_a_download_stays_what_it_is(self) -> None:
        details = {"error_code": "organization_on_hold"}
        error = {"type": "invalid_request_error", "message": "On hold.", "details": details}
        driver, _ = self.answering(Answer({"type": "error", "error": error}, 400))
        with pytest.raises(FileRejectedError) as caught:
            driver.download_file("file_01")
        assert caught.value.code == "organization_on_hold"

    # Errors

    @pytest.mark.parametrize(("details", "code"), [({}, "api_error"), ({"error_code": "x_y"}, "x_y")])
    def test_a_code_in_the_details_says_more_than_the_type(self, details: dict[str, str], code: str) -> None:
        error = {"type": "api_error", "message": "No.", "details": details}
        driver, _ = self.answering(
            Answer({"type": "error", "error": error}, 500, {"request-id": "req_01Example"})
        )
        with pytest.raises(ProviderUnavailableError) as caught:
            driver.delete_file("file_01")
        assert (caught.value.code, caught.value.request_id) == (code, "req_01Example")

    def test_a_rate_limit_may_name_no_time(self, fake: FakeProvider) -> None:
        fake.script({"method": "DELETE"}, behaviours.fail(429))
        with pytest.raises(RateLimitedError) as caught:
            self.make(fake).delete_file("file_01")
        assert caught.value.retry_after_seconds is None

    def test_a_413_may_be_a_page_of_html(self, fake: FakeProvider) -> None:
        fake.script({"method": "POST"}, behaviours.html(413))
        with pytest.raises(FileRejectedError, match="413") as caught:
            self.make(fake).create_file(self.source().upload)
        assert "<" not in caught.value.message
