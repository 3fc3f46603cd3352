"""Error bodies in every shape seen in the wild."""

from __future__ import annotations

import json

import pytest

from providers.errors import ErrorDetails, parse_error_body

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
