"""GET /files/{id}"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
import time_machine
from django.utils import timezone

from files_app.models import File
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, openai_account
from tests.files_app.rows import force


def test_it_answers_what_the_upload_did(acme: Tenant) -> None:
    created = acme.api.create(b"hello", headers={"x-tfy-metadata": '{"a": "b"}'})
    assert acme.api.get(f"/files/{created['id']}").json() == created
    assert acme.api.get(f"/files/{created['id']}", account="local").json() == created


def test_the_file_must_live_in_the_account_that_is_named(remote: Tenant) -> None:
    file_id = remote.api.create(account="local")["id"]
    assert remote.api.get(f"/files/{file_id}").status == 200
    assert remote.api.get(f"/files/{file_id}", account="openai").status == 404
    reply = remote.api.get(f"/files/{file_id}", account="nobody")
    assert (reply.status, reply.error["param"]) == (400, "x-tfy-provider-name")


def test_an_id_in_two_accounts_needs_the_header(remote: Tenant, fake: FakeProvider) -> None:
    twin = openai_account(remote.organization, fake, "twin")
    file_id = remote.api.create()["id"]
    File.objects.create(organization=remote.organization, account=twin, file_id=file_id, state="available")
    for reply in (
        remote.api.get(f"/files/{file_id}"),
        remote.api.get(f"/files/{file_id}/content"),
        remote.api.delete(f"/files/{file_id}"),
    ):
        assert (reply.status, reply.error["param"]) == (400, "x-tfy-provider-name")
        assert "openai, twin" in str(reply.error["message"])
    assert remote.api.get(f"/files/{file_id}", account="openai").json()["bytes"] == 5
    assert remote.api.get(f"/files/{file_id}", account="twin").json()["bytes"] == 0


@pytest.mark.parametrize("state", ["uploading", "failed", "deleting", "deleted", "lost"])
def test_only_an_available_file_is_there(acme: Tenant, state: str) -> None:
    file_id = acme.api.create()["id"]
    force(File.objects, state=state)
    reply = acme.api.get(f"/files/{file_id}")
    assert (reply.status, reply.error["param"]) == (404, "id")
    assert acme.api.listed()["data"] == []


def test_a_file_past_its_time_is_gone_at_once(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    File.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    assert acme.api.get(f"/files/{file_id}").status == 200
    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
        for reply in (
            acme.api.get(f"/files/{file_id}"),
            acme.api.get(f"/files/{file_id}/content"),
            acme.api.delete(f"/files/{file_id}"),
        ):
            assert reply.status == 404
        assert acme.api.listed()["data"] == []


@pytest.mark.parametrize(
    "file_id",
    [
        "file-unknown",
        "x" * 255,
        "x" * 5000,
        ".",
        "..",
        "%2e%2e",
        "%00",
        "a b",
        "a%20b",
        "%0d%0aX-Header:%20x",
        "%F0%9F%8E%89",
        "%ff",
        "' OR 1=1 --",
        quote("s3://bucket/key", safe=""),
        quote("gs://bucket/other-tenant/key", safe=""),
        "s3:%2F%2F",
        "s3%3A%2F%2F%00",
        "file-1;x=y",
        "*",
        "{file_id}",
    ],
)
def test_an_id_that_is_no_file_is_not_found_and_reaches_no_provider(
    remote: Tenant, fake: FakeProvider, file_id: str
) -> None:
    for reply in (
        remote.api.get(f"/files/{file_id}"),
        remote.api.get(f"/files/{file_id}/content"),
        remote.api.delete(f"/files/{file_id}"),
    ):
        assert reply.status == 404
        assert reply.error["type"] == "invalid_request_error"
    for request in fake.requests:
        assert "/" not in request.path.removeprefix("/openai/v1/files/")
        assert request.method == "GET"


def test_the_uri_is_taken_in_place_of_the_id(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    uri = "s3://bucket/org-1/a file/x.txt"
    File.objects.update(uri=uri)
    for path in (quote(uri, safe=""), quote(uri)):
        assert acme.api.get(f"/files/{path}").json()["id"] == file_id
    assert acme.api.get(f"/files/{quote(uri, safe='')}/content").body == b"hello"
    assert acme.api.get(f"/files/{quote(uri, safe='')}/").json()["uri"] == uri
