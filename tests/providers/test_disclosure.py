"""What of a provider's answer leaves its driver: no secret in any field, and request ids that are ids."""

from __future__ import annotations

import base64
import html
import json
import traceback
from urllib.parse import quote

import pytest

from providers.base import AccountConfig
from providers.exceptions import ProviderError
from providers.openai_compatible import OpenAICompatibleDriver
from providers.registry import build_driver
from tests.providers.transport import Answer, FakeTransport

KEY = 'p/ss+w"rd<canary>-key-Zz9'
HEADER = "canary in the header"
QUERY = "canary&in=the/query"
SECRETS = (KEY, HEADER, QUERY)
FORMS = {
    "plain": str,
    "upper case": str.upper,
    "percent": lambda secret: quote(secret, safe=""),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "HTML": html.escape,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic": lambda secret: base64.b64encode(f"u:{secret}:x".encode()).decode(),
    "URL-safe": lambda secret: base64.urlsafe_b64encode(f"user{secret}".encode()).decode(),
}


def driver(*answers: Answer) -> OpenAICompatibleDriver:
    options = {
        "base_url": "https://files.example/v1",
        "extra_headers": {"X-Team": HEADER, "X-Version": "v1"},
        "extra_query": {"tenant": QUERY},
    }
    account = AccountConfig("store", options, {"api_key": KEY}, transport=FakeTransport(list(answers)))
    made = build_driver("openai-compatible", account)
    assert isinstance(made, OpenAICompatibleDriver)
    return made


def failure(answer: Answer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        driver(answer).delete_file("file-1")
    return caught.value


def error_body(text: str) -> dict[str, object]:
    return {"error": {"message": f"v1: {text}!", "code": text, "param": text, "type": text}}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", FORMS)
def test_no_field_of_an_error_shows_what_was_sent(secret: str, form: str) -> None:
    shown = FORMS[form](secret)
    error = failure(Answer(error_body(shown), 400, {"x-request-id": quote(shown)}))
    # The bytes around a secret in base64 may spell a little of its ends.
    core = shown[4:-4] if form in {"basic", "URL-safe", "base64"} else shown
    fields = {**vars(error), "text": "".join(traceback.format_exception(error))}
    assert [name for name, value in fields.items() if core in str(value)] == []
    assert error.message.startswith("v1: ")
    assert "[redacted]" in error.message and "[redacted]" in str(error.code)
    assert error.request_id is None


@pytest.mark.parametrize("room", range(485, 500))
def test_a_secret_is_found_before_a_text_is_cut(room: int) -> None:
    message = failure(Answer({"error": {"message": "x" * room + KEY}}, 400)).message
    assert len(message) <= 500
    assert KEY[:2] not in message


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("req_0123456789abcdef", "req_0123456789abcdef"),
        ("8f3b2c1d-0000-4000-8000-0123456789ab", "8f3b2c1d-0000-4000-8000-0123456789ab"),
        ("a" * 128, "a" * 128),
        ("a" * 129, None),
        ("<script>", None),
        ("two words", None),
        ("sk-abcdefghijklmnopqrstuvwxyz", None),
    ],
)
def test_a_request_id_is_one_or_none(given: str, kept: str | None) -> None:
    assert failure(Answer({}, 500, {"x-request-id": given})).request_id == kept


def test_names_are_short_and_printable() -> None:
    error = failure(Answer({"error": {"message": "m", "code": "c\n" * 500, "param": "p" * 500}}, 400))
    assert (error.code or "").startswith("c c c")
    assert (len(error.code or ""), len(error.param or "")) == (128, 128)


def test_no_file_shows_a_credential_and_its_name_stays() -> None:
    """A header's value is no secret for certain, so that a file may be called so."""
    shown = {
        "id": "file-1",
        "filename": f"{HEADER}.pdf",
        "purpose": KEY,
        "mime_type": f"text/{KEY}",
        "status_details": f"{'x' * 490} {KEY} {QUERY}",
    }
    listed = driver(Answer({"data": [shown]})).list_files().files[0]
    assert driver(Answer(shown)).retrieve_file("file-1") == listed
    assert listed.filename == f"{HEADER}.pdf"
    assert KEY not in str(listed) and KEY[:2] not in str(listed.status_details)
    assert len(listed.status_details or "") <= 500
