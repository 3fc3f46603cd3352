"""What providers do wrong during an upload: the client gets a true answer, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from files_app.models import FileCopy, ProviderAccount
from providers.transports import gcs
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, make_account, openai_account
from tests.files_app.services.uploads.failing import CONTENT, failed_upload, heal

CLOSED = "http://127.0.0.1:9"
AT_A_CLOSED_PORT: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "bedrock": (
        {"bucket": "bucket", "region": "us-east-1", "endpoint_url": CLOSED},
        {"access_key_id": "a" * 20, "secret_access_key": "b" * 40},
    ),
    "vertex": ({"bucket": "bucket", "project": "test", "endpoint_url": CLOSED}, {}),
    "together": ({"base_url": CLOSED}, {"api_key": "k" * 40}),
}
CANARY = "sk-canary-0123456789abcdef0123456789"


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:9/v1", "https://nowhere.invalid/v1"], ids=["closed port", "unknown host"]
)
def test_a_provider_that_cannot_be_reached(acme: Tenant, fake: FakeProvider, base_url: str) -> None:
    openai_account(acme.organization, fake, base_url=base_url)
    reply = acme.api.upload(account="openai")
    assert (reply.status, reply.error["code"]) == (502, "provider_unavailable")
    assert 0 < int(reply.headers["Retry-After"]) <= 120
    assert counters(acme.organization) == (0, 0, 0)
    assert FileCopy.objects.get().state == "failed"  # there is nothing to search for


@pytest.mark.parametrize("driver", ["bedrock", "vertex", "together"])
def test_a_refused_connection_leaves_nothing_to_search_for(
    acme: Tenant, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_OF_START", gcs._RETRY_OF_START.with_timeout(0.01))
    options, credentials = AT_A_CLOSED_PORT[driver]
    make_account(acme.organization, "away", driver, options=options, credentials=credentials)
    reply = acme.api.upload(b'{"messages": []}\n', filename="a.jsonl", purpose="fine-tune", account="away")
    assert (reply.status, reply.error["code"]) == (502, "provider_unavailable")
    assert FileCopy.objects.get().state == "failed"


def test_a_provider_without_trustworthy_tls(acme: Tenant, fake: FakeProvider) -> None:
    base_url = fake.url("openai").replace("http://", "https://")
    openai_account(acme.organization, fake, base_url=base_url)
    reply = acme.api.upload(account="openai")
    assert (reply.status, reply.error["code"]) == (502, "provider_unavailable")
    assert counters(acme.organization) == (0, 0, 0)


def test_a_refused_credential_is_the_operators_and_not_the_clients(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, key=CANARY)
    for reply in (
        acme.api.upload(CONTENT, account="openai"),
        acme.api.get("/files/file-unknown/content", account="openai"),
    ):
        assert (reply.status, reply.error["code"]) == (502, "provider_auth_error")
        assert reply.headers["x-should-retry"] == "false"
        assert CANARY.encode() not in reply.body
    assert counters(acme.organization) == (0, 0, 0)


def test_a_wrong_base_url_is_the_operators_and_not_the_clients(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, base_url=fake.url("openai") + "/nowhere")
    reply = acme.api.upload(CONTENT, account="openai")
    assert (reply.status, reply.error["code"]) == (502, "provider_configuration_error")
    assert reply.headers["x-should-retry"] == "false"
    assert counters(acme.organization) == (0, 0, 0)


@pytest.mark.parametrize("after", [0, 1000, None])
@pytest.mark.parametrize(
    ("retry_after", "passed_on"),
    [("7", "7"), ("0.5", "1"), ("1000000000", "120"), ("-5", "0"), ("soon", None), (None, None)],
)
def test_a_rate_limit_is_passed_on(
    remote: Tenant, fake: FakeProvider, retry_after: str | None, passed_on: str | None, after: int | None
) -> None:
    behaviour = behaviours.fail(429, retry_after=retry_after, after_body_bytes=after)
    reply = failed_upload(remote, fake, behaviour)
    assert (reply.status, reply.error["type"]) == (429, "rate_limit_error")
    assert reply.headers.get("Retry-After") == passed_on
    assert fake.store("openai") == []


@pytest.mark.parametrize("after", [0, 1000, 250_000, None])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_failure_at_any_time_is_told(
    remote: Tenant, fake: FakeProvider, status: int, after: int | None
) -> None:
    reply = failed_upload(remote, fake, behaviours.fail(status, after_body_bytes=after))
    assert reply.status == (504 if status == 504 else 502)
    assert reply.error["type"] == "server_error"
    heal()
    assert fake.store("openai") == []


@pytest.mark.parametrize("after", [0, 1, 1000, 250_000, None])
@pytest.mark.parametrize("resets", [True, False])
def test_a_connection_that_breaks_at_any_time(
    remote: Tenant, fake: FakeProvider, after: int | None, resets: bool
) -> None:
    reply = failed_upload(remote, fake, behaviours.drop(after_body_bytes=after, resets=resets))
    assert (reply.status, reply.error["code"]) == (502, "provider_unavailable")
    heal()
    assert fake.store("openai") == []


def test_a_compressed_answer_is_not_unpacked(remote: Tenant, fake: FakeProvider) -> None:
    reply = failed_upload(remote, fake, behaviours.gzip_bomb(2**26))
    assert (reply.status, reply.error["code"]) == (502, "bad_provider_response")


@pytest.mark.parametrize("status", [400, 413, 415, 422, 409])
@pytest.mark.parametrize("after", [0, 1000, None])
def test_an_early_refusal_is_used_and_the_rest_not_sent(
    remote: Tenant, fake: FakeProvider, status: int, after: int | None
) -> None:
    reply = failed_upload(remote, fake, behaviours.fail(status, after_body_bytes=after))
    assert reply.status == (400 if status in {415, 422} else status)
    assert reply.error["type"] in {"invalid_request_error", "server_error"}
    assert FileCopy.objects.get().state == "failed"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_credentials(
    remote: Tenant, fake: FakeProvider, status: int
) -> None:
    failed_upload(remote, fake, behaviours.redirect(f"{fake.storage_root}/elsewhere", status))
    assert all(request.dialect != "storage" for request in fake.requests)


def test_an_id_that_another_file_has_leaves_that_file_alone(remote: Tenant, fake: FakeProvider) -> None:
    first = remote.api.create(b"first")
    fake.script({"method": "POST"}, behaviours.patched({"id": first["id"]}))
    reply = remote.api.upload(b"second")
    assert (reply.status, reply.error["code"]) == (502, "bad_provider_response")
    assert remote.api.get(f"/files/{first['id']}").json() == first
    assert counters(remote.organization) == (5, 0, 1)
    heal()
    assert first["id"] in [stored.remote_id for stored in fake.store("openai")]


def test_an_answer_with_numbers_that_are_none(remote: Tenant, fake: FakeProvider) -> None:
    body = b'{"id": "file-x", "object": "file", "bytes": NaN, "created_at": 1e999, "filename": "a.txt"}'
    fake.script({"method": "POST"}, behaviours.answer(200, body))
    reply = remote.api.upload()
    assert reply.status in {200, 502}
    assert b"NaN" not in reply.body


def test_what_a_provider_says_of_itself_is_cleaned(remote: Tenant, fake: FakeProvider) -> None:
    """Names, times and expiry from outside are shown as text, not trusted."""
    nasty = {"filename": "../../../etc/passwd", "created_at": 10**15, "status_details": "x" * 10_000}
    fake.script({"method": "POST"}, behaviours.patched(nasty))
    created = remote.api.create()
    assert created["filename"] == "a.txt"
    assert len(created["status_details"] or "") <= 500
    assert remote.api.listed()["data"] == [created]


def test_the_providers_request_id_is_passed_on(remote: Tenant, fake: FakeProvider) -> None:
    reply = failed_upload(remote, fake, behaviours.fail(400, headers=[("x-request-id", "req_theirs")]))
    assert reply.headers["x-provider-request-id"] == "req_theirs"
    assert reply.headers["x-request-id"] != "req_theirs"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_misconfigured_account_says_so_without_details(
    acme: Tenant, fake: FakeProvider, method: str
) -> None:
    account = openai_account(acme.organization, fake)
    ProviderAccount.objects.filter(pk=account.pk).update(credentials="not a ciphertext")
    reply = acme.api.upload(account="openai")
    assert (reply.status, reply.error["code"]) == (502, "provider_configuration_error")
    assert "ciphertext" not in str(reply.error["message"])
    (shown,) = [each for each in acme.api.get("/providers").json()["data"] if each["name"] == "openai"]
    assert shown["status"] == "misconfigured"
