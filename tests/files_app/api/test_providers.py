"""GET /providers"""

from __future__ import annotations

from pytest_django import Settings

from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, openai_account


def test_providers_are_those_that_the_key_may_use(
    acme: Tenant, other: Tenant, fake: FakeProvider, settings: Settings
) -> None:
    settings.BATCH_MAX_LINES = 77
    openai_account(None, fake, "shared")
    openai_account(None, fake, "local")
    openai_account(other.organization, fake, "theirs")
    body = acme.api.get("/providers").json()
    assert body["object"] == "list"
    assert [(each["name"], each["driver"], each["shared"]) for each in body["data"]] == [
        ("local", "local", False),
        ("shared", "openai", True),
    ]
    shared = body["data"][1]
    assert shared["operations"] == ["content", "create", "delete", "list", "retrieve"]
    assert "batch" in shared["purposes"]
    assert shared["limits"]["max_file_bytes"] == 536_870_912
    assert shared["limits"]["batch_max_lines"] == 77
    assert shared["limits"]["extensions"]["batch"] == [".jsonl"]


def test_no_secret_is_shown(remote: Tenant, fake: FakeProvider) -> None:
    body = remote.api.get("/providers").body
    assert b"api_key" not in body
    assert b"127.0.0.1" not in body


def test_a_smaller_limit_of_the_organization_is_shown(acme: Tenant) -> None:
    acme.set_limits(max_file_bytes=10)
    assert acme.api.get("/providers").json()["data"][0]["limits"]["max_file_bytes"] == 10
