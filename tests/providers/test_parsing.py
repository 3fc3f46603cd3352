"""Reading what providers answer, and refusing what must not enter a URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine

from providers.exceptions import ProviderConfigurationError
from providers.objects import ByteRange, JSONValue
from providers.parsing import (
    check_endpoint,
    is_usable_id,
    parse_content_range,
    parse_size,
    parse_text,
    parse_time,
    path_segment,
    retry_after_seconds,
)
from tests.providers.contract import BAD_IDS

MOMENT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECONDS, MOMENT),
        (float(SECONDS), MOMENT),
        (SECONDS * 1000, MOMENT),
        (str(SECONDS), MOMENT),
        (str(SECONDS * 1000), MOMENT),
        ("2026-11-23T12:00:00Z", MOMENT),
        ("2026-11-23T14:00:00+02:00", MOMENT),
        ("2026-11-23T12:00:00", MOMENT),
        ("2026-11-23T12:00:00.000000Z", MOMENT),
        (0, None),
        (-1, None),
        (None, None),
        (True, None),
        ("", None),
        ("soon", None),
        ("٣", None),
        (1e300, None),
        (float("inf"), None),
        ("9" * 400, None),
        ([SECONDS], None),
    ],
)
def test_a_time_is_read_in_every_spelling(value: JSONValue, expected: datetime | None) -> None:
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1482, 1482),
        ("1482", 1482),
        (None, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("", None),
        ("-1", None),
        ("1e3", None),
        ("٣", None),
        (2**63, None),
        ("9" * 400, None),
        ({}, None),
    ],
)
def test_a_size_is_read_or_unknown(value: JSONValue, expected: int | None) -> None:
    assert parse_size(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), ("x" * 300, "x" * 255), ("", None), (3, None)])
def test_a_text_is_clipped(value: JSONValue, expected: str | None) -> None:
    assert parse_text(value) == expected


@pytest.mark.parametrize("value", BAD_IDS)
def test_an_id_that_could_change_a_url_is_unusable(value: str) -> None:
    assert not is_usable_id(value)


@pytest.mark.parametrize("value", ["file-abc123", "file_01k9", "a.b~c=d:e", "3f1c9a52-7d1e", "x" * 255])
def test_an_id_as_providers_make_them_is_usable(value: str) -> None:
    assert is_usable_id(value)


def test_a_segment_cannot_leave_its_place() -> None:
    assert path_segment("../a?b#c%2F d\r\n") == "..%2Fa%3Fb%23c%252F%20d%0D%0A"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/100", (0, 9, 100)),
        ("bytes 0-9/*", None),
        ("bytes */100", None),
        ("items 0-9/100", None),
        ("", None),
    ],
)
def test_a_content_range_is_read_or_ignored(header: str, expected: tuple[int, int, int] | None) -> None:
    assert parse_content_range(header) == expected


@pytest.mark.parametrize(
    ("byte_range", "header"),
    [
        (ByteRange(0, 9), "bytes=0-9"),
        (ByteRange(5, None), "bytes=5-"),
        (ByteRange(None, 7), "bytes=-7"),
    ],
)
def test_a_range_is_written_as_the_rfc_says(byte_range: ByteRange, header: str) -> None:
    assert byte_range.header() == header


@pytest.mark.parametrize(
    "url",
    [
        "files.example",
        "//files.example/v1",
        "ftp://files.example",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://files.example:0/",
        "http://files.example:99999/",
        "http://files.example:x/",
        "http://user@files.example/",
        "http://:pass@files.example/",
        "http://files.example/?a=b",
        "http://files.example/#a",
    ],
)
def test_an_endpoint_that_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        check_endpoint(url, field="base_url")
    assert caught.value.field == "base_url"


@pytest.mark.parametrize(
    "url", ["https://files.example", "http://127.0.0.1:8000/v1/", "https://[2001:db8::1]/v1"]
)
def test_a_plain_endpoint_is_taken(url: str) -> None:
    check_endpoint(url, field="base_url")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 12 "}, 12.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e400"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "x", "Retry-After": "9"}, 9.0),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Monday, 23-Nov-26 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": format_datetime(MOMENT + timedelta(days=1), usegmt=True)}, 86_400.0),
        ({"Retry-After": "Mon, 99 Nov 2026 12:00:30 GMT"}, None),
    ],
)
@time_machine.travel(MOMENT, tick=False)
def test_every_spelling_of_a_wait_is_understood_or_ignored(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers) == seconds
