"""GET /providers"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, make_account, openai_account


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


@pytest.mark.parametrize(
    ("driver", "options", "job_input", "rendered_as"),
    [
        ("openai", {}, "file_id", set()),
        ("local", {}, None, set()),
        ("bedrock", {"bucket": "bucket"}, "batch_uri", {"bedrock-converse", "bedrock-invoke-openai"}),
        ("bedrock", {"bucket": "bucket", "job": "openai"}, "batch_uri", {"bedrock-converse", "openai"}),
        ("vertex", {"bucket": "bucket"}, "batch_uri", {"vertex-gemini", "vertex-claude"}),
    ],
)
def test_clients_are_told_which_lines_run(
    acme: Tenant, driver: str, options: dict[str, Any], job_input: str | None, rendered_as: set[str]
) -> None:
    credentials = {"openai": {"api_key": "k"}, "bedrock": {"access_key_id": "a", "secret_access_key": "b"}}
    make_account(acme.organization, "batches", driver, options=options, credentials=credentials.get(driver))
    found = {each["name"]: each for each in acme.api.get("/providers").json()["data"]}["batches"]["batch"]
    assert found["job_input"] == job_input
    chat = {name for name in found["rendered_as"] if "embed" not in name}
    assert chat == rendered_as
    openai = {"name": "openai", "requires": ["custom_id", "method", "url", "body"], "unique": "custom_id"}
    assert openai in found["lines"]


def test_a_provider_without_batch_files_says_so(acme: Tenant) -> None:
    make_account(acme.organization, "claude", "anthropic", options={}, credentials={"api_key": "k"})
    found = {each["name"]: each for each in acme.api.get("/providers").json()["data"]}
    assert found["claude"]["batch"] is None


def test_no_secret_is_shown(remote: Tenant, fake: FakeProvider) -> None:
    body = remote.api.get("/providers").body
    assert b"api_key" not in body
    assert b"127.0.0.1" not in body


def test_a_smaller_limit_of_the_organization_is_shown(acme: Tenant) -> None:
    acme.set_limits(max_file_bytes=10)
    assert acme.api.get("/providers").json()["data"][0]["limits"]["max_file_bytes"] == 10


def test_clients_are_told_how_long_files_live(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake)
    found = {each["name"]: each["retention"] for each in acme.api.get("/providers").json()["data"]}
    assert found == {"local": None, "openai": None}
    rules = acme.organization.retention_rules
    rules.create(purpose="batch", default_expiry_seconds=7_200)
    rules.create(account=acme.accounts["local"], longest_life_seconds=86_400)
    found = {each["name"]: each["retention"] for each in acme.api.get("/providers").json()["data"]}
    batch = {"default_seconds": 7_200, "max_seconds": None}
    assert found["openai"] == {"default_seconds": None, "max_seconds": None, "purposes": {"batch": batch}}
    batch = {"default_seconds": 7_200, "max_seconds": 86_400}
    assert found["local"] == {"default_seconds": 86_400, "max_seconds": 86_400, "purposes": {"batch": batch}}
