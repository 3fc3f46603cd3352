"""xAI: fields before the file, a token on every page, and 400 for a bad key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import CredentialsError, RateLimitedError, RemoteFileNotFoundError
from providers.objects import RemoteFile
from providers.xai import XAIDriver
from tests.fake_provider import FakeProvider
from tests.providers.compatible_contract import FamilyRow, build
from tests.providers.transport import Answer
from tests.providers.wire import Error

FILE = RemoteFile(
    remote_id="file_4f0c2a1e-77b1-4c7c-9c0b-2f6f5f0e1a22",
    bytes=48213,
    created_at=datetime.fromtimestamp(1_795_166_102, UTC),
    filename="contract.pdf",
    expires_at=datetime.fromtimestamp(1_795_770_902, UTC),
)


class TestXAI(FamilyRow):
    driver = "xai"
    dialect = "xai"
    keeps_names = False
    expected = {
        "retrieve-file": FILE,
        "retrieve-older-shape": replace(
            FILE,
            remote_id="file_4f0c2a1e",
            created_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
            expires_at=None,
        ),
        "list-files": (FILE.remote_id,),
        "delete-file": None,
        "list-bad-key": Error(
            CredentialsError,
            "Incorrect API key provided: xa***yz.",
            "Client specified an invalid argument",
        ),
        "retrieve-missing": Error(RemoteFileNotFoundError, "File not found", "not_found"),
        "retrieve-rate": Error(RateLimitedError, "Too many requests", "429"),
    }

    def test_a_wrong_key_is_the_accounts_fault(self, fake: FakeProvider) -> None:
        driver = XAIDriver(self.config(self.url(fake), credentials={"api_key": "wrong"}))
        with pytest.raises(CredentialsError) as caught:
            driver.list_files()
        assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ("plain.pdf", "plain.pdf"),
        ('a"b;c\\d.pdf', "abcd.pdf"),
        ("a\r\nb\x00\x7f\x85\u2028c.pdf", "abc.pdf"),
        ("n" * 300, "n" * 255),
        ('";\\', "file"),
    ],
)
def test_a_name_is_cleaned_of_what_it_refuses(filename: str, sent: str) -> None:
    assert build(XAIDriver, Answer())[0].upload_filename(filename) == sent


@pytest.mark.parametrize(
    ("count", "token", "cursor", "following"),
    [
        (3, "t1", None, "t1"),
        (2, "t1", None, None),
        (0, "t1", "t0", None),
        (3, None, None, None),
        (3, "t", "t", None),
    ],
)
def test_a_short_page_is_the_last_whatever_its_token(
    count: int, token: str | None, cursor: str | None, following: str | None
) -> None:
    answer = Answer({"data": [{"id": f"file_{n}"} for n in range(count)], "pagination_token": token})
    driver, wire = build(XAIDriver, answer)
    driver.dialect = replace(driver.dialect, page_size=3)
    assert driver.list_files(cursor=cursor).next_cursor == following
    assert wire.sent[0].query["order"] == "desc"
    assert wire.sent[0].query.get("pagination_token") == cursor
