"""Pages of other origins."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from files_app.services.tenants import throttle
from tests.files_app.cast import Tenant
from tests.files_app.client import ApiClient, Reply, assert_is_ours

PAGE = "https://app.example"
PATHS = ("/v1/files", "/files/file-1", "/api/llm/v1/files/file-1/content", "/openai/files", "/v1/usage/")


@pytest.fixture
def allowed(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]


def preflight(path: str, origin: str = PAGE) -> Reply:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return ApiClient("", prefix="").request("OPTIONS", path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_the_list_may_use_the_api(acme: Tenant, allowed: None, path: str) -> None:
    reply = preflight(path)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert reply.headers["Access-Control-Allow-Headers"] == "*, Authorization"
    assert "DELETE" in reply.headers["Access-Control-Allow-Methods"]
    for key, status in ((acme.api.key, 200), ("wrong", 401)):
        answer = ApiClient(key).get("/files", headers={"Origin": PAGE})
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, PAGE)
        assert answer.headers["Access-Control-Expose-Headers"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://app.example.evil.example", "http://app.example", "null", "http://["]
)
def test_other_pages_are_told_why_not(acme: Tenant, allowed: None, origin: str) -> None:
    reply = preflight("/v1/files", origin)
    assert_is_ours(reply, 403)
    assert reply.error["code"] == "origin_not_allowed"
    assert "CORS_ALLOWED_ORIGINS" in str(reply.error["message"])
    answer = acme.api.get("/files", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_preflight_is_no_wrong_key(acme: Tenant, settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 1
    throttle.forget_counts()
    for origins in ([], [PAGE]):
        settings.CORS_ALLOWED_ORIGINS = origins
        assert {preflight("/v1/files").status for _ in range(3)} == ({200} if origins else {403})
    assert ApiClient("").request("OPTIONS", "/files").status == 405
    assert ApiClient("wrong").get("/files").status == 401


def test_the_admin_is_for_nobody_elses_pages(acme: Tenant, allowed: None) -> None:
    assert "Access-Control-Allow-Origin" not in preflight("/admin/login/").headers


@pytest.mark.parametrize(("path", "varies"), [("/v1/files", True), ("/healthz", False)])
def test_caches_are_told_that_pages_of_other_origins_get_other_headers(
    acme: Tenant, path: str, varies: bool
) -> None:
    answer = ApiClient(acme.api.key, prefix="").get(path)
    assert answer.headers.get("Vary") == ("origin" if varies else None)
