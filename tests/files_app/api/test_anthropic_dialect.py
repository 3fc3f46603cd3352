"""The file operations in Anthropic's dialect, byte by byte; `tests/sdk/test_anthropic.py` has its SDK."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from files_app.models import File, ProviderAccount
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, openai_account
from tests.files_app.client import ApiClient, Reply
from tests.files_app.forms import Part, file_part

VERSION = {"anthropic-version": "2026-10-21"}
LEGACY = {"anthropic-version": "2023-06-01", "anthropic-beta": "other-2025-01-01, files-api-2025-04-14"}


def upload(tenant: Tenant, *parts: Part, headers: dict[str, str] = VERSION, **kwargs: Any) -> Reply:
    return tenant.api.upload(parts=parts or [file_part()], headers=headers, **kwargs)


def uploaded(tenant: Tenant, count: int) -> list[str]:
    """Upload so many files and return their ids, newest first."""
    return [upload(tenant, file_part(b"x", f"{n}.txt")).json()["id"] for n in range(count)][::-1]


def listed(tenant: Tenant, query: Any = (), headers: dict[str, str] = VERSION) -> dict[str, Any]:
    reply = tenant.api.get("/files", headers=headers, query=query)
    assert reply.status == 200, reply.body
    page: dict[str, Any] = reply.json()
    return page


def ids_of(page: dict[str, Any]) -> list[str]:
    return [file["id"] for file in page["data"]]


def assert_is_anthropics(reply: Reply, status: int, kind: str, code: str | None = None) -> None:
    body = reply.json()
    assert (reply.status, body["type"], body["error"]["type"]) == (status, "error", kind), body
    assert body["error"]["message"]
    assert body["error"].get("details") == ({"error_code": code} if code else None)
    assert body["request_id"] == reply.headers["request-id"] == reply.headers["x-request-id"]


def test_a_file_is_described_as_anthropic_does(acme: Tenant) -> None:
    reply = upload(acme, Part("expires_in_seconds", b"3600"), file_part(b"hello", "ä.txt"))
    row = File.objects.get()
    assert (row.purpose, row.is_counted) == ("user_data", True)
    assert row.expires_at is not None
    assert reply.json() == {
        "id": row.file_id,
        "type": "file",
        "filename": "ä.txt",
        "mime_type": "text/plain",
        "size_bytes": 5,
        "created_at": f"{row.created_at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "downloadable": True,
        "expires_at": f"{row.expires_at:%Y-%m-%dT%H:%M:%S.%f}Z",
    }
    path = f"/files/{row.file_id}"
    assert acme.api.get(path, headers=VERSION).json() == reply.json()
    assert listed(acme)["data"] == [reply.json()]
    assert acme.api.get(path).json()["object"] == "file", "the other dialect shows the same file"
    assert acme.api.get(f"{path}/content", headers=VERSION).body == b"hello"
    gone = acme.api.delete(path, headers=VERSION)
    assert gone.json() == {"id": row.file_id, "type": "file_deleted"}
    assert gone.headers["request-id"] == gone.headers["x-request-id"]
    assert counters(acme.organization) == (0, 0, 0)


@pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
def test_both_headers_of_a_key_are_taken(acme: Tenant, header: str) -> None:
    key = acme.api.key if header == "x-api-key" else f"Bearer {acme.api.key}"
    assert ApiClient("").get("/files", headers={**VERSION, header: key}).status == 200


@pytest.mark.parametrize(
    ("filename", "content_type", "name"),
    [
        (None, "application/pdf", "unnamed.pdf"),
        ("", "image/png", "unnamed.png"),
        (None, "text/plain; charset=utf-8", "unnamed.txt"),
        (None, "application/octet-stream", "unnamed"),
        (None, "made/up", "unnamed"),
        ("a/b/c.bin", "image/png", "c.bin"),
    ],
)
def test_a_file_without_a_name_is_called_after_its_type(
    acme: Tenant, filename: str | None, content_type: str, name: str
) -> None:
    created = upload(acme, Part("file", b"x", filename, content_type)).json()
    assert (created["filename"], created["mime_type"]) == (name, content_type.partition(";")[0])


@pytest.mark.parametrize(
    "parts",
    [
        [Part("purpose", b"user_data"), file_part()],
        [Part("expires_in_seconds", b"soon"), file_part()],
        [Part("expires_in_seconds", b"3599"), file_part()],
        [file_part(b"")],
        [file_part(), file_part()],
        [Part("expires_in_seconds", b"3600")],
    ],
)
def test_a_form_that_makes_no_sense_is_refused(acme: Tenant, parts: list[Part]) -> None:
    assert_is_anthropics(upload(acme, *parts), 400, "invalid_request_error")
    assert counters(acme.organization) == (0, 0, 0)


def test_a_list_is_paged_by_what_it_answers(acme: Tenant) -> None:
    ids = uploaded(acme, 5)
    assert listed(acme)["next_page"] is None
    found, page = [], listed(acme, {"limit": 2})
    while True:
        assert list(page) == ["data", "next_page"]
        found += ids_of(page)
        if page["next_page"] is None:
            break
        page = listed(acme, {"limit": 2, "page": page["next_page"]})
    assert found == ids


def test_a_page_has_twenty_files_unless_asked_otherwise(acme: Tenant) -> None:
    uploaded(acme, 21)
    assert [len(listed(acme)["data"]), len(listed(acme, {"limit": 1000})["data"])] == [20, 21]


def test_a_list_can_name_the_files(acme: Tenant, other: Tenant) -> None:
    ids, theirs = uploaded(acme, 3), uploaded(other, 1)
    page = listed(acme, [("ids[]", each) for each in (ids[2], ids[0], ids[0], theirs[0], "file_unknown")])
    assert (ids_of(page), page["next_page"]) == ([ids[0], ids[2]], None)


def test_the_old_beta_pages_by_the_ids_of_files(acme: Tenant) -> None:
    ids = uploaded(acme, 5)
    page = listed(acme, {"limit": 2}, LEGACY)
    assert (ids_of(page), page["has_more"], page["first_id"], page["last_id"]) == (ids[:2], True, *ids[:2])
    assert "expires_at" not in page["data"][0]
    page = listed(acme, {"limit": 3, "after_id": ids[1]}, LEGACY)
    assert (ids_of(page), page["has_more"]) == (ids[2:], False)
    page = listed(acme, {"limit": 2, "before_id": ids[3]}, LEGACY)
    assert (ids_of(page), page["has_more"]) == (ids[1:3], True)
    acme.api.delete(f"/files/{ids[0]}")
    assert ids_of(listed(acme, {"after_id": ids[0]}, LEGACY)) == ids[1:], "a deleted file stays a cursor"
    assert listed(acme, {"after_id": ids[4]}, LEGACY) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"limit": 0}, VERSION),
        ({"limit": 1001}, VERSION),
        ({"limit": ""}, VERSION),
        ({"after_id": "file_1"}, VERSION),
        ({"order": "asc"}, VERSION),
        ({"page": "2"}, VERSION),
        ({"page": "page_%"}, VERSION),
        ({"page": "page_" + base64.b64encode(b"file-unknown").decode()}, VERSION),
        ({"page": "page_" + base64.b64encode(b"a\0").decode()}, VERSION),
        ([("limit", "1"), ("limit", "2")], VERSION),
        ([("ids[]", "file_1"), ("limit", "1")], VERSION),
        ([("ids[]", f"file_{n}") for n in range(101)], VERSION),
        ([("ids[]", "\0")], VERSION),
        ({"page": "page_x"}, LEGACY),
        ({"after_id": "file_unknown"}, LEGACY),
        ({"after_id": "a", "before_id": "b"}, LEGACY),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(acme: Tenant, query: Any, headers: dict[str, str]) -> None:
    assert_is_anthropics(acme.api.get("/files", headers=headers, query=query), 400, "invalid_request_error")


def test_an_idempotency_key_gets_its_answer_again_and_not_in_another_dialect(acme: Tenant) -> None:
    keyed = {"Idempotency-Key": "nightly"}
    first = upload(acme, headers={**VERSION, **keyed}).json()
    assert upload(acme, headers={**VERSION, **keyed}).json() == first
    assert acme.api.upload(headers=keyed).error["code"] == "idempotency_key_reused"
    assert counters(acme.organization) == (5, 0, 1)


def test_errors_are_in_anthropics_envelope(acme: Tenant, other: Tenant) -> None:
    theirs = uploaded(other, 1)[0]
    unknown = acme.api.get(f"/files/{theirs}", headers=VERSION)
    assert_is_anthropics(unknown, 404, "not_found_error")
    assert_is_anthropics(
        ApiClient("wrong").get("/files", headers=VERSION), 401, "authentication_error", "invalid_api_key"
    )
    reader, _ = acme.client(scopes=["files:read"])
    denied = reader.delete(f"/files/{theirs}", headers=VERSION)
    assert_is_anthropics(denied, 403, "permission_error", "missing_scope")
    acme.set_limits(max_file_bytes=4)
    assert_is_anthropics(upload(acme), 413, "request_too_large", "file_too_large")
    put = acme.api.request("PUT", "/files", headers=VERSION)
    assert_is_anthropics(put, 405, "invalid_request_error", "method_not_allowed")


def test_a_range_without_bytes_is_in_anthropics_envelope(acme: Tenant) -> None:
    path = f"/files/{uploaded(acme, 1)[0]}/content"
    reply = acme.api.get(path, headers={**VERSION, "Range": "bytes=9-"})
    assert_is_anthropics(reply, 416, "invalid_request_error", "range_not_satisfiable")


def test_a_provider_that_is_down_is_an_api_error(remote: Tenant, fake: FakeProvider) -> None:
    fake.script({"method": "POST"}, behaviours.fail(500))
    assert_is_anthropics(upload(remote), 502, "api_error", "server_error")


@pytest.mark.parametrize(
    ("driver", "purpose", "downloadable"),
    [
        ("openai", "user_data", False),
        ("openai", "batch", True),
        ("groq", "batch", True),
        ("anthropic", "user_data", False),
        ("anthropic", "assistants_output", True),
        ("gemini", "user_data", False),
        ("gone", "user_data", False),
    ],
)
def test_a_file_is_downloadable_where_its_content_is(
    acme: Tenant, fake: FakeProvider, driver: str, purpose: str, downloadable: bool
) -> None:
    file_id = uploaded(acme, 1)[0]
    File.objects.update(purpose=purpose)
    account = openai_account(acme.organization, fake, "away")
    ProviderAccount.objects.filter(pk=account.pk).update(driver=driver)
    File.objects.update(account=account)
    assert [file["downloadable"] for file in listed(acme)["data"]] == [downloadable], file_id


def test_content_that_a_provider_keeps_has_anthropics_own_code(acme: Tenant) -> None:
    file_id = uploaded(acme, 1)[0]
    ProviderAccount.objects.update(
        driver="openai-compatible", options={"base_url": "https://files.example/v1", "operations": ["list"]}
    )
    reply = acme.api.get(f"/files/{file_id}/content", headers=VERSION)
    assert_is_anthropics(reply, 400, "invalid_request_error", "file_not_downloadable")
