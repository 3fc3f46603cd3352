"""No secret and no forged line in a log."""

import json
import logging
import time
from typing import Any

import pytest
import structlog

from files_app.observability import logs
from files_app.observability.redaction import MASK, mask, redact

SECRETS = [
    "fgw_bXdERg4mwMDvAkgGrRBCQBhK4Foe37DBt6PPYpk93lo1cc",
    "sk-proj-abcdefghijklmnopqrstuvwxyz012345",
    "gsk_abcdefghijklmnopqrstuvwxyz",
    "xai-abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_wherever_it_stands(secret: str) -> None:
    event = redact(None, "info", {"event": f"failed: {secret}!", "details": {"list": [f"x {secret}"]}})
    assert secret not in json.dumps(event)
    assert event["event"] == f"failed: {MASK}!"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-123456", f"Authorization: Bearer {MASK}"),
        ("postgres://user:pass@db/files", f"postgres://{MASK}@db/files"),
        ("https://b/k?X-Amz-Signature=0a1b&x=1", f"https://b/k?X-Amz-Signature={MASK}&x=1"),
        ("https://b/k?X-Goog-Signature=0a1b", f"https://b/k?X-Goog-Signature={MASK}"),
        (
            "with url: /upload/v1beta/files?upload_id=AB-c_d&x=1",
            f"with url: /upload/v1beta/files?upload_id={MASK}&x=1",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", MASK),
    ],
)
def test_text_around_a_secret_stays(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_letters_that_only_look_ascii_hide_no_secret() -> None:
    assert mask("s\N{KELVIN SIGN}-proj-abcdefghijklmnop") == MASK
    assert mask("https://b/k?\N{LATIN SMALL LETTER LONG S}ignature=0a1b&x=1").endswith(f"={MASK}&x=1")


@pytest.mark.parametrize(
    "text", ["file-abc123", "batch_1234567890abcdefgh", "the task-1234567890123456 is done", "risk-averse"]
)
def test_harmless_text_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "-eyJ",
        "-eyJabcdefgh",
        "-eyJabcdefgh.",
        "-sk_",
        "-AIza",
        "-AKIA",
        "://a",
        "://a:",
        "-----BEGIN A ",
        "bearer ",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    mask(text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "field", ["api_key", "Authorization", "x-api-key", "client_secret", "set-cookie", "password"]
)
def test_a_field_is_masked_by_its_name(field: str) -> None:
    assert redact(None, "info", {"headers": {field: "anything"}}) == {"headers": {field: MASK}}


def test_a_file_name_cannot_forge_a_line() -> None:
    event = redact(None, "info", {"event": "upload", "filename": 'a\r\n{"event": "fake"}\u2028\x1b[2J'})
    assert event["filename"] == 'a\\r\\n{"event": "fake"}\\u2028\\x1b[2J'


@pytest.mark.parametrize("format_name", ["json", "console"])
def test_other_libraries_logs_take_the_same_way(
    format_name: str, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    logs.configure({"format": format_name, "level": "INFO"})
    structlog.contextvars.bind_contextvars(request_id="req_1")
    logging.getLogger("library").warning("token %s", SECRETS[1])
    structlog.get_logger().info("own", key=SECRETS[0])
    output = capsys.readouterr().out
    assert output.count("\n") == 2
    assert output.count("req_1") == 2
    assert SECRETS[0] not in output
    assert SECRETS[1] not in output


def test_an_exception_is_one_json_line_without_its_secret(
    capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    logs.configure({"format": "json", "level": "INFO"})
    try:
        raise ValueError(f"bad key {SECRETS[0]}")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(capsys.readouterr().out)
    assert line["level"] == "error"
    assert f"bad key {MASK}" in line["exception"]


SECRET = SECRETS[0]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "a", "b": f"x{' '}{SECRET}"},
        {"event": SECRET, "b": "c"},
        {"event": "a", "b": [SECRET]},
        {"event": "a", "b": {"c": SECRET}},
        {"event": "a", "api_key": "short"},
        {"event": "a", "b": "AKIAIOSFODNN7EXAMPLE", "c": "d"},
        {"event": "a", "b": "postgres://user:pass@db/files", "c": "@"},
        {"event": "a", "b": "Bearer abcdefgh", "c": 1},
        {"event": "a", "b": "one\ntwo", "c": None},
        {"event": "a", "b": "one\x1b[0m", "c": 1.5},
    ],
)
def test_one_look_at_a_whole_event_misses_nothing(event: dict[str, Any]) -> None:
    line = json.dumps(redact(None, "info", event))
    assert MASK in line or "one\\\\" in line
    assert not any(secret in line for secret in (SECRET, "short", "AKIAIOSF", "user:pass", "abcdefgh"))


def test_a_harmless_event_stays_as_it_is() -> None:
    event = {"event": "request", "status": 200, "seconds": 1.5, "is": True, "none": None, "path": "/v1/files"}
    assert redact(None, "info", dict(event)) == event
