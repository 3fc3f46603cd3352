"""Every route x every kind of id x every kind of key: nobody sees what is somebody else's.

The matrix is generated from the URL configuration. A route that is new fails the first test until it is
written down here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from files_app.models import File, FileCopy, Organization
from files_app.models.organizations import Scope
from files_app.services.index.callers import system_caller
from files_app.services.tenants.keys import forget_cached_keys, revoke_key
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, local_account, make_tenant, openai_account
from tests.files_app.client import ApiClient, Reply
from tests.files_app.rows import kept

PREFIXES = ("v1/", "api/llm/v1/", "api/llm/", "openai/v1/", "openai/", "")
OPEN_ROUTES = {"healthz", "readyz", "metrics", "openapi.json", "docs"}  # they know no organization
OPEN_ROUTES |= {"", "favicon.ico", "docs/", "admin"}
ADMIN = "admin/"  # staff, with a matrix of its own

COLLECTIONS = {"^files/?$", "^providers/?$", "^usage/?$"}
FILE = "^files/{id}/?$"
CONTENT = "^files/{id}/content/?$"
ITEM_METHODS = {FILE: ("GET", "DELETE"), CONTENT: ("GET", "HEAD")}
_JOB = "^files/deletions/{id}"
#: Whose deletion is whose: test_deletions.py.
DELETIONS = {
    "^files/deletions/?$": "POST",
    f"{_JOB}/?$": "GET",
    f"{_JOB}/report/?$": "GET",
    f"{_JOB}/cancel/?$": "POST",
}
#: method -> the scope that it needs
SCOPES = {"GET": Scope.READ, "HEAD": Scope.READ, "POST": Scope.WRITE, "DELETE": Scope.DELETE}


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            route = re.sub(r"^\^v1/", "v1/^", route)  # whose routes have their prefix in themselves
            yield re.sub(r"\(\?P<(file|deletion)_id>.*\)(?=/)", "{id}", route)


def test_every_route_is_in_the_matrix() -> None:
    known = {prefix + route for prefix in PREFIXES for route in COLLECTIONS | {*ITEM_METHODS, *DELETIONS}}
    found = {route for route in routes(get_resolver().url_patterns) if not route.startswith(ADMIN)}
    assert found == known | OPEN_ROUTES


def test_every_method_of_a_route_is_in_the_matrix(world: World) -> None:
    file_id = world.mine["local"]
    for route, methods in ITEM_METHODS.items():
        allowed = world.acme.api.request("OPTIONS", path_of(route, file_id)).headers["Allow"]
        assert set(allowed.split(", ")) - {"OPTIONS", "HEAD"} == set(methods) - {"HEAD"}


def path_of(route: str, file_id: str) -> str:
    return "/" + route.strip("^$").replace("/?", "").replace("{id}", file_id)


@dataclass
class World:
    """Two organizations; each has files of its own, at owned and at shared accounts."""

    acme: Tenant
    other: Tenant
    fake: FakeProvider
    mine: dict[str, str]
    theirs: dict[str, str]

    def rows(self) -> list[tuple[object, ...]]:
        """Return what no refused request may change."""
        files = File.objects.order_by("pk").values_list("pk", "state", "bytes", "file_id")
        copies = FileCopy.objects.order_by("pk").values_list("pk", "state", "attempts")
        usage = Organization.objects.order_by("pk").values_list("pk", "used_bytes", "file_count")
        return [*files, *copies, *usage]


@pytest.fixture(scope="module")
def one_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with FakeProvider() as fake, kept(django_db_blocker):
        yield make_world(fake)


@pytest.fixture
def world(one_world: World, db: None) -> World:
    return one_world


def make_world(fake: FakeProvider) -> World:
    acme, other = make_tenant("acme"), make_tenant("other")
    for tenant in (acme, other):
        local_account(tenant.organization, is_default=True)
    openai_account(None, fake, "shared")
    for tenant, dialect in ((acme, "groq"), (other, "cerebras")):
        openai_account(tenant.organization, fake, "owned", driver=dialect)
    line = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}'
    ids: list[dict[str, str]] = []
    for tenant in (acme, other):
        names = ("local", "shared", "owned")
        ids.append({n: tenant.api.create(line, "batch", "a.jsonl", account=n)["id"] for n in names})
    deleted = other.api.create(account="local")["id"]
    other.api.delete(f"/files/{deleted}")
    raw = fake.add_file("openai", filename="foreign.txt", content=b"of nobody here").remote_id
    uri = "s3://bucket/other/secret.txt"
    File.objects.filter(file_id=ids[1]["local"]).update(uri=uri)
    return World(acme, other, fake, ids[0], {**ids[1], "deleted": deleted, "raw": raw, "uri": uri})


def scrubbed(reply: Reply, file_id: str) -> tuple[object, ...]:
    """Return everything of an answer except its id and the file's, byte for byte."""
    headers = {n: v for n, v in reply.headers.items() if n.lower() not in {"x-request-id", "content-length"}}
    return reply.status, reply.body.replace(file_id.encode(), b"ID"), headers


ITEMS = [
    (prefix, route, method) for prefix in PREFIXES for route in ITEM_METHODS for method in ITEM_METHODS[route]
]
items = pytest.mark.parametrize(("prefix", "route", "method"), ITEMS)
UNKNOWN = "file-aaaaaaaaaaaaaaaaaaaaaaaaaa"
MALFORMED = ("..", "%00", "a%20b", "x" * 300, "'", "%F0%9F%8E%89", "s3%3A%2F%2Fx")


@items
def test_own_files_are_served(world: World, prefix: str, route: str, method: str) -> None:
    api = ApiClient(world.acme.api.key, f"/{prefix}".rstrip("/"))
    for name, file_id in world.mine.items():
        for account in (None, name):
            if method != "DELETE" or account is None:
                assert api.request(method, path_of(route, file_id), account=account).status == 200


@items
@pytest.mark.parametrize("account", [None, "local", "shared", "owned"])
def test_a_foreign_file_is_an_unknown_one(
    world: World, prefix: str, route: str, method: str, account: str | None
) -> None:
    api = ApiClient(world.acme.api.key, f"/{prefix}".rstrip("/"))
    before, asked = world.rows(), len(world.fake.requests)
    unknown = scrubbed(api.request(method, path_of(route, UNKNOWN), account=account), UNKNOWN)
    assert unknown[0] == 404
    for file_id in world.theirs.values():
        reply = api.request(method, path_of(route, quote(file_id, safe="")), account=account)
        assert scrubbed(reply, file_id) == unknown
    assert world.rows() == before
    for request in world.fake.requests[asked:]:  # an owned account may be asked, the shared one never
        assert (request.dialect, request.method) == ("groq", "GET")


@items
def test_a_malformed_id_is_an_unknown_one(world: World, prefix: str, route: str, method: str) -> None:
    api = ApiClient(world.acme.api.key, f"/{prefix}".rstrip("/"))
    before = world.rows()
    for file_id in MALFORMED:
        reply = api.request(method, path_of(route, file_id))
        assert reply.status == 404
        assert method == "HEAD" or reply.error["type"] == "invalid_request_error"
    assert world.rows() == before


def bad_keys(tenant: Tenant) -> dict[str, ApiClient]:
    revoked, row = tenant.client()
    assert revoked.get("/files").status == 200
    revoke_key(row, caller=system_caller())
    expired, _ = tenant.client(expires_at=timezone.now() - timedelta(seconds=1))
    return {"revoked": revoked, "expired": expired, "none": ApiClient(""), "wrong": ApiClient("x" * 40)}


def test_a_key_that_is_no_longer_good_opens_nothing(world: World) -> None:
    keys = bad_keys(world.acme)
    before, answers = world.rows(), set()
    collections = [(route, "GET") for route in COLLECTIONS] + [("^files/?$", "POST"), *DELETIONS.items()]
    for prefix in PREFIXES:
        for route, method in collections + [(route, method) for _, route, method in ITEMS]:
            id_ = f"job-{'a' * 26}" if route in DELETIONS else world.mine["local"]
            path = f"//{prefix}" + path_of(route, id_).lstrip("/")
            for api in keys.values():
                reply = api.request(method, path)
                assert reply.status == 401
                answers.add(reply.body if method != "HEAD" else None)
    assert len(answers - {None}) == 1
    assert world.rows() == before


def test_the_keys_of_a_switched_off_organization_open_nothing(world: World) -> None:
    Organization.objects.filter(name="acme").update(is_active=False)
    forget_cached_keys()
    assert world.acme.api.get("/files").status == 401
    assert world.other.api.get("/files").status == 200


@pytest.mark.parametrize("missing", list(Scope))
def test_a_scope_that_is_missing_is_needed(world: World, missing: Scope) -> None:
    api, _ = world.acme.client(scopes=[scope for scope in Scope if scope != missing])
    requests = [(route, method) for route, methods in ITEM_METHODS.items() for method in methods]
    requests += [(route, "GET") for route in COLLECTIONS] + [("^files/?$", "POST")]
    for route, method in requests:
        for file_id in (world.mine["local"], UNKNOWN, world.theirs["local"]):
            if SCOPES[method] != missing:
                continue
            reply = api.request(method, path_of(route, file_id))
            assert reply.status == 403
            assert method == "HEAD" or reply.error["code"] == "missing_scope"


def test_collections_hold_only_what_is_mine(world: World) -> None:
    for prefix in PREFIXES:
        api = ApiClient(world.acme.api.key, f"/{prefix}".rstrip("/"))
        for route in COLLECTIONS:
            body = api.get(path_of(route, "")).body
            assert b"other" not in body
            for file_id in world.theirs.values():
                assert file_id.encode() not in body
        listed = [file["id"] for file in api.get("/files").json()["data"]]
        assert sorted(listed) == sorted(world.mine.values())


def test_an_upload_goes_to_my_own_account_of_that_name(world: World) -> None:
    line = b'{"custom_id": "b", "method": "POST", "url": "/v1/responses", "body": {}}'
    world.acme.api.create(line, "batch", "b.jsonl", account="owned")
    assert [stored.filename for stored in world.fake.store("groq")] == ["a.jsonl", "b.jsonl"]
    assert [stored.filename for stored in world.fake.store("cerebras")] == ["a.jsonl"]


def test_storage_keys_are_never_shown_or_taken(world: World) -> None:
    copy = FileCopy.objects.get(file__file_id=world.mine["local"])
    assert copy.remote_id != world.mine["local"]
    for path in ("/files", f"/files/{world.mine['local']}"):
        assert copy.remote_id.encode() not in world.acme.api.get(path).body
    assert world.acme.api.get(f"/files/{quote(copy.remote_id, safe='')}").status == 404
