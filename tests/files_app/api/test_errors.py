"""Errors and headers that every answer has, whatever asked for it."""

from __future__ import annotations

import json
from itertools import repeat

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.files_app.cast import Tenant
from tests.files_app.client import ApiClient, assert_is_ours
from tests.files_app.forms import Feed

PREFIXES = ("/v1", "", "/api/llm", "/api/llm/v1", "/openai", "/openai/v1")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_works_with_every_prefix_and_slash(acme: Tenant, prefix: str, slash: str) -> None:
    api = ApiClient(acme.api.key, prefix)
    created = api.create(path=f"/files{slash}")
    path = f"/files/{created['id']}"
    assert api.get(f"/files{slash}").json()["data"] == [created]
    assert api.get(f"{path}{slash}").json() == created
    assert api.get(f"{path}/content{slash}").body == b"hello"
    assert api.get(f"/usage{slash}").json()["used_bytes"] == 5
    assert api.get(f"/providers{slash}").json()["data"][0]["name"] == "local"
    assert api.delete(f"{path}{slash}").json()["deleted"] is True


@pytest.mark.parametrize(
    "path",
    [
        *("//v1", "//v1/", "//v1/nothing", "//v1/files/a/b", "//v1/files//", "//v2/files", "//\xff"),
        *("//v1/files/a/content/b", "//.env", "//v1/chat/completions", "//%2e%2e/", "//v1/files%00"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "FOO"])
def test_a_path_that_is_not_there(acme: Tenant, method: str, path: str) -> None:
    reply = acme.api.request(method, path)
    assert_is_ours(reply, 404)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/files", ("PUT", "PATCH", "DELETE")),
        ("/files/file-1", ("POST", "PUT", "PATCH")),
        ("/files/file-1/content", ("POST", "PUT", "DELETE")),
        ("/providers", ("POST", "DELETE")),
        ("/usage", ("POST", "DELETE")),
    ],
)
def test_a_method_that_is_not_there(acme: Tenant, path: str, methods: tuple[str, ...]) -> None:
    for method in (*methods, "TRACE", "FOO", "OPTIONS"):
        reply = acme.api.request(method, path)
        assert_is_ours(reply, 405)
        assert "GET" in reply.headers["Allow"]
        assert reply.error["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/files", "/files/file-1", "/files/file-1/content", "/providers", "/usage"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_a_key_nothing_is_said(acme: Tenant, path: str, method: str) -> None:
    bodies = set()
    for key in ("", "wrong", "x" * 600, "fgw_" + "0" * 46):
        reply = ApiClient(key).request(method, path)
        assert_is_ours(reply, 401)
        assert reply.error["code"] == "invalid_api_key"
        bodies.add(reply.body)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer{key}", "Token {key}", "Bearer x {key}"),
        *("Bearer {key}\0", "Bearer {key}' OR '1'='1", "Bearer " + "é" * 100, "Bearer " + "x" * 10**6),
    ],
)
def test_only_a_whole_bearer_key_opens(acme: Tenant, header: str) -> None:
    headers = {"Authorization": header.replace("{key}", acme.api.key)}
    assert_is_ours(ApiClient("").get("/files", headers=headers), 401)


@pytest.mark.parametrize("name", ["api-key", "x-api-key"])
def test_a_key_may_stand_alone_in_its_own_header(acme: Tenant, name: str) -> None:
    query = {"api-version": "2024-10-21"}
    assert ApiClient("").get("/files", headers={name: acme.api.key}, query=query).status == 200
    assert_is_ours(ApiClient("").get("/files", headers={name: "wrong"}), 401)
    both = {name: acme.api.key, "Authorization": "Bearer wrong"}
    assert_is_ours(ApiClient("").get("/files", headers=both), 401)


@pytest.mark.parametrize("header", ["Bearer {key}", "bearer {key}", "BEARER   {key} "])
def test_the_scheme_is_read_as_http_says(acme: Tenant, header: str) -> None:
    headers = {"Authorization": header.replace("{key}", acme.api.key)}
    assert ApiClient("").get("/files", headers=headers).status == 200


def test_a_key_in_the_query_opens_nothing(acme: Tenant) -> None:
    for name in ("api_key", "key", "access_token", "Authorization"):
        assert_is_ours(ApiClient("").get("/files", query={name: acme.api.key}), 401)


@pytest.mark.django_db
@hypothesis_settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80))
def test_no_authorization_header_breaks_the_gateway(value: str) -> None:
    for header in (value, f"Bearer {value}"):
        assert_is_ours(ApiClient("").get("/files", headers={"Authorization": header}), 401)


@pytest.mark.parametrize("path", ["//healthz", "//readyz", "//metrics", "//openapi.json", "//docs"])
def test_paths_beside_the_api_answer_no_html_to_a_post(acme: Tenant, path: str) -> None:
    reply = acme.api.post(path, body=b"x")
    assert reply.status in {403, 405}
    assert reply.headers["Content-Type"] != "text/html; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "", "image/*;q=0"])
def test_answers_are_json_whatever_is_accepted(acme: Tenant, accept: str) -> None:
    assert acme.api.get("/files", headers={"Accept": accept}).status == 200
    assert_is_ours(acme.api.get("/files/unknown", headers={"Accept": accept}), 404)


def test_formats_of_the_framework_are_not_offered(acme: Tenant) -> None:
    assert_is_ours(acme.api.get("/files", query={"format": "api"}), 400)
    assert_is_ours(acme.api.get("/files/unknown", query={"format": "api"}), 404)


def test_a_body_where_none_belongs_is_not_read(acme: Tenant) -> None:
    for method, path in (("GET", "/files"), ("DELETE", "/files/unknown"), ("PUT", "/files")):
        feed = Feed(repeat(b"{" * 1000))
        headers = {"Content-Type": "application/json"}
        acme.api.request(method, path, headers=headers, feed=feed, length=10**9)
        assert feed.taken == 0


def test_what_nobody_foresaw_is_an_error_without_details(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("files_app.api.pagination.page_of", lambda *args: {}["secret-detail"])
    reply = acme.api.get("/files")
    assert_is_ours(reply, 500)
    assert b"secret-detail" not in reply.body
    assert b"KeyError" not in reply.body


def test_a_database_that_is_away_is_worth_a_retry(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("connection to postgres://user:secret@host refused")

    monkeypatch.setattr("files_app.api.pagination.page_of", fail)
    reply = acme.api.get("/files")
    assert_is_ours(reply, 503)
    assert int(reply.headers["Retry-After"]) > 0
    assert b"secret" not in reply.body


def test_every_answer_has_an_id_and_a_length(acme: Tenant) -> None:
    created = acme.api.create()
    replies = [
        acme.api.get("/files"),
        acme.api.get(f"/files/{created['id']}"),
        acme.api.get(f"/files/{created['id']}/content"),
        acme.api.head(f"/files/{created['id']}/content"),
        acme.api.get("/files/unknown"),
        acme.api.get("/nothing"),
        ApiClient("").get("/files"),
        acme.api.delete(f"/files/{created['id']}"),
    ]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == len(ids)
    for reply in replies:
        assert int(reply.headers["Content-Length"]) >= len(reply.body)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in reply.headers
        assert "Location" not in reply.headers


def test_a_clients_request_id_never_replaces_ours(acme: Tenant) -> None:
    for name in ("x-request-id", "x-client-request-id"):
        reply = acme.api.get("/files", headers={name: "req_theirs"})
        assert reply.headers["x-request-id"] != "req_theirs"


def test_unicode_in_a_message_is_sent_as_json(acme: Tenant) -> None:
    reply = acme.api.get("/files/ü%E2%80%AE")
    assert json.loads(reply.body)["error"]["message"].startswith("No such File object")
    assert reply.body.isascii()
