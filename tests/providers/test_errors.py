"""Error bodies in every shape seen in the wild, and whose fault an answer over HTTP is."""

from __future__ import annotations

import json

import pytest

from providers.base import AccountConfig
from providers.errors import ErrorDetails, parse_error_body
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
)
from providers.objects import Operation
from providers.openai import OpenAIDriver
from tests.providers.transport import Answer, FakeTransport
from tests.providers.uploads import UploadSource

CREATE, LIST, RETRIEVE, CONTENT, DELETE = Operation
SETUP, MISSING = ConfigurationRefusedError, RemoteFileNotFoundError
#: (operation, status) -> kind
ROWS: list[tuple[Operation, int, type[ProviderError]]] = [
    *((operation, 404, SETUP) for operation in (CREATE, LIST)),
    *((operation, 410, SETUP) for operation in (CREATE, LIST)),
    *((operation, 404, MISSING) for operation in (RETRIEVE, CONTENT, DELETE)),
    *((operation, 410, MISSING) for operation in (RETRIEVE, CONTENT, DELETE)),
    *((operation, 405, SETUP) for operation in Operation),
    *((CREATE, status, SETUP) for status in (406, 407, 411, 412, 414, 416, 417, 421, 426, 431, 451)),
    *((CREATE, status, FileRejectedError) for status in (400, 402, 409, 413, 415, 422)),
    *((CREATE, status, CredentialsError) for status in (401, 403)),
    *((CREATE, status, ProviderBusyError) for status in (423, 425)),
    *((CREATE, status, ProviderTimeoutError) for status in (408, 504)),
    *((CREATE, status, ProviderUnavailableError) for status in (500, 501, 502, 503, 529, 999)),
    *((CREATE, status, InvalidResponseError) for status in (301, 308)),
    (CREATE, 429, RateLimitedError),
    (CONTENT, 409, FileRejectedError),
    (CONTENT, 412, SETUP),
    (CONTENT, 416, FileRejectedError),
    (DELETE, 409, ProviderBusyError),
]

DETAIL_LIST = {"detail": [{"loc": ["body", "purpose"], "msg": "field required", "type": "missing"}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, ("m", "c", "p")),
        ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, ("m", "t", None)),
        ({"error": {"message": "m", "code": 404}}, ("m", "404", None)),
        ({"error": {"message": "m", "code": "c", "target": "purpose"}}, ("m", "c", "purpose")),
        ({"error": {}}, (None, None, None)),
        ({"error": "m", "code": "c"}, ("m", "c", None)),
        ({"code": 429, "error": "m"}, ("m", "429", None)),
        ({"detail": "m"}, ("m", None, None)),
        ({"detail": "Invalid file format.", "message": "m"}, ("m", None, None)),
        (DETAIL_LIST, ("field required", None, "purpose")),
        ({"detail": {"message": "m", "code": "c"}}, ("m", "c", None)),
        ({"detail": {"error": "m"}}, ("m", None, None)),
        ({"detail": []}, (None, None, None)),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, ("m", "1004", None)),
        ({"message": "m", "type": "t", "param": "p", "code": "c"}, ("m", "c", "p")),
        ({"object": "error", "message": "m", "code": "3310"}, ("m", "3310", None)),
        ({"code": 20012, "message": "m", "data": None}, ("m", "20012", None)),
        ("Invalid token", ("Invalid token", None, None)),
        ([{"error": {"message": "m", "code": 400, "status": "INVALID"}}], ("m", "INVALID", None)),
        ([], (None, None, None)),
        (None, (None, None, None)),
        (17, (None, None, None)),
        ({}, (None, None, None)),
        ({"error": {"message": ["a"], "code": {"b": 1}}}, (None, None, None)),
        ({"error": {"message": True}}, (None, None, None)),
    ],
)
def test_a_body_says_what_it_says(body: object, expected: tuple[str | None, ...]) -> None:
    details = parse_error_body(json.dumps(body))
    assert (details.message, details.code, details.param) == expected


@pytest.mark.parametrize("text", ["", "  ", "<!doctype html><title>x", "\n<html>", "[" * 100_000])
def test_some_bodies_say_nothing(text: str) -> None:
    assert parse_error_body(text) == ErrorDetails()


@pytest.mark.parametrize("text", ["length limit exceeded", "404 page not found\n", "upstream: \u0000 reset"])
def test_plain_text_is_the_message(text: str) -> None:
    message = parse_error_body(text).message
    assert message and message.isprintable()


def test_a_message_cannot_forge_a_log_line() -> None:
    message = parse_error_body(json.dumps({"error": {"message": "a\x1b[31m\u202eb\r" + "x" * 5_000}})).message
    assert message and message.startswith("a [31m b x")


@pytest.mark.parametrize(("operation", "status", "kind"), ROWS)
def test_each_status_is_the_fault_of_whom_the_table_says(
    operation: Operation, status: int, kind: type[ProviderError]
) -> None:
    answer = Answer({"error": {"message": "why"}}, status)
    account = AccountConfig("a", credentials={"api_key": "k"}, transport=FakeTransport(lambda sent: answer))
    driver = OpenAIDriver(account)
    calls = {
        CREATE: lambda: driver.create_file(UploadSource(b"{}").upload),
        LIST: driver.list_files,
        RETRIEVE: lambda: driver.retrieve_file("file-1"),
        CONTENT: lambda: driver.download_file("file-1"),
        DELETE: lambda: driver.delete_file("file-1"),
    }
    with pytest.raises(ProviderError) as caught:
        calls[operation]()
    assert (type(caught.value), caught.value.message) == (kind, "why")
