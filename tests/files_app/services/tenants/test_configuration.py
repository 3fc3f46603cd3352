"""What a configuration file changes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from files_app.exceptions import InvalidKeyError
from files_app.models import ApiKey, AuditEvent, Organization, ProviderAccount
from files_app.services.accounts.credentials import unseal
from files_app.services.tenants.configuration import Applied, apply_configuration
from files_app.services.tenants.configuration_file import ConfigurationFileError
from files_app.services.tenants.keys import verify_key
from tests.files_app.cast import Tenant

pytestmark = pytest.mark.django_db

KEY, OTHER_KEY = "k" * 40, "o" * 40
LOCAL = {"name": "disk", "driver": "local"}
OPENAI = {"name": "openai", "driver": "openai", "credentials": {"api_key": "sk-first"}}


def apply(document: Any, **how: bool) -> Applied:
    return apply_configuration(json.dumps(document), **how)  # JSON is YAML


def acme(**entry: Any) -> dict[str, Any]:
    """Return a document with one organization."""
    return {"organizations": [{"name": "acme", **entry}]}


def account(name: str) -> ProviderAccount:
    return ProviderAccount.objects.get(name=name)


FULL = {
    "organizations": [
        {
            "name": "acme",
            "quota_bytes": 1000,
            "max_file_bytes": 100,
            "max_files": 0,
            "active": False,
            "api_keys": [{"name": "ci", "key": KEY, "scopes": ["files:write", "files:read"]}],
            "provider_accounts": [
                {
                    "name": "openai",
                    "driver": "openai",
                    "default": True,
                    "enabled": False,
                    "list_freshness": None,
                    "options": {"organization": "org-1"},
                    "credentials": {"api_key": "sk-first"},
                }
            ],
        }
    ],
    "shared_provider_accounts": [{"name": "disk", "driver": "local", "list_freshness": 0}],
}


def test_everything_that_a_file_can_say_is_written() -> None:
    assert apply(FULL).changes == [
        "created organization acme",
        "created API key acme/ci",
        "created provider account acme/openai",
        "created provider account shared/disk",
    ]
    organization = Organization.objects.get()
    assert (organization.name, organization.is_active) == ("acme", False)
    assert (organization.quota_bytes, organization.max_file_bytes, organization.max_files) == (1000, 100, 0)
    key = ApiKey.objects.get()
    assert (key.organization, key.name, key.scopes) == (organization, "ci", ["files:read", "files:write"])
    openai, disk = account("openai"), account("disk")
    assert (openai.organization, openai.is_default, openai.is_enabled) == (organization, True, False)
    assert (openai.list_freshness_seconds, openai.options) == (None, {"organization": "org-1"})
    assert unseal(openai) == {"api_key": "sk-first"}
    assert openai.places.get().authority == "api.openai.com"
    assert (disk.organization, disk.driver, disk.list_freshness_seconds) == (None, "local", 0)


def test_the_same_file_applied_twice_changes_nothing() -> None:
    apply(FULL)
    events = AuditEvent.objects.count()
    again = apply(FULL)
    assert (again.changes, again.new_keys) == ([], {})
    assert AuditEvent.objects.count() == events


def test_what_is_not_mentioned_stays() -> None:
    apply(FULL)
    changes = apply(
        acme(max_files=7, api_keys=[{"name": "ci"}], provider_accounts=[{"name": "openai", "enabled": True}])
    )
    assert changes.changes == [
        "changed organization acme: max_files",
        "changed provider account acme/openai: is_enabled",
    ]
    organization = Organization.objects.get()
    assert (organization.quota_bytes, organization.max_files) == (1000, 7)
    assert ApiKey.objects.get().scopes == ["files:read", "files:write"]
    assert (account("openai").is_default, unseal(account("openai"))) == (True, {"api_key": "sk-first"})


def test_a_new_organization_has_the_limits_of_the_settings(settings: Settings) -> None:
    settings.ORGANIZATION_QUOTA_BYTES = 4242
    apply(acme())
    assert Organization.objects.get().quota_bytes == 4242


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet",
        "organizations:",
        "organizations: []",
        "shared_provider_accounts:",
        "{organizations: null, shared_provider_accounts: []}",
    ],
)
def test_a_file_that_says_nothing_changes_nothing(text: str, acme: Tenant) -> None:
    apply_configuration("shared_provider_accounts: [{name: shared, driver: local}]")
    assert apply_configuration(text).changes == []
    assert Organization.objects.exists() and account("shared")


def test_a_rehearsal_tells_everything_and_writes_nothing() -> None:
    told = apply(acme(api_keys=[{"name": "ci"}], provider_accounts=[LOCAL]), dry_run=True)
    assert told.changes == [
        "created organization acme",
        "created API key acme/ci",
        "created provider account acme/disk",
    ]
    assert told.new_keys == {}
    assert not Organization.objects.exists()
    assert not AuditEvent.objects.exists()


def test_changes_are_in_the_audit_trail() -> None:
    apply(FULL)
    apply(acme(quota_bytes=2000, api_keys=[{"name": "ci", "key": OTHER_KEY}]))
    events = AuditEvent.objects.order_by("pk")
    shared = ("config.create", "provideraccount", "disk", None)
    organization = Organization.objects.get().pk
    told = [(each.action, each.object_type, each.object_id, each.organization_id) for each in events]
    assert told == [
        ("config.create", "organization", "acme", organization),
        ("key.create", "api_key", str(ApiKey.objects.get(revoked_at__isnull=False)), organization),
        ("config.create", "provideraccount", "openai", organization),
        shared,
        ("config.change", "organization", "acme", organization),
        ("key.revoke", "api_key", str(ApiKey.objects.get(revoked_at__isnull=False)), organization),
        ("key.create", "api_key", str(ApiKey.objects.get(revoked_at=None)), organization),
    ]
    assert {(each.actor_type, each.actor) for each in events} == {("command", "apply")}
    assert events[0].details == {"changed": ["quota_bytes", "max_file_bytes", "max_files", "is_active"]}
    assert events[2].details["changed"] == [
        *("driver", "options", "is_default", "is_enabled", "list_freshness_seconds", "credentials")
    ]
    assert "sk-first" not in str([each.details for each in events])


# -- keys ------------------------------------------------------------------------------------------------


def test_a_key_without_a_value_is_made_and_shown_once() -> None:
    document = acme(api_keys=[{"name": "ci"}])
    (name, plain), *more = apply(document).new_keys.items()
    assert (name, more) == ("acme/ci", [])
    assert verify_key(plain).scopes == {"files:read", "files:write", "files:delete"}
    assert apply(document).new_keys == {}
    assert verify_key(plain).name == "ci"


def test_a_supplied_key_is_not_shown() -> None:
    assert apply(acme(api_keys=[{"name": "ci", "key": KEY}])).new_keys == {}
    assert verify_key(KEY).organization_name == "acme"


def test_a_key_comes_from_the_environment_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{OTHER_KEY}\n")
    monkeypatch.setenv("CI_KEY", KEY)
    apply(acme(api_keys=[{"name": "ci", "key": "env:CI_KEY"}, {"name": "deployer", "key": f"file:{path}"}]))
    assert (verify_key(KEY).name, verify_key(OTHER_KEY).name) == ("ci", "deployer")


def test_another_value_replaces_the_key() -> None:
    apply(acme(api_keys=[{"name": "ci", "key": KEY}]))
    changes = apply(acme(api_keys=[{"name": "ci", "key": OTHER_KEY, "scopes": ["files:read"]}])).changes
    assert changes == ["replaced API key acme/ci"]
    assert verify_key(OTHER_KEY).scopes == {"files:read"}
    with pytest.raises(InvalidKeyError):
        verify_key(KEY)


def test_a_key_is_known_again_after_the_pepper_has_changed(settings: Settings) -> None:
    document = acme(api_keys=[{"name": "ci", "key": KEY}])
    apply(document)
    settings.API_KEY_PEPPERS = ["new", *settings.API_KEY_PEPPERS]
    assert apply(document).changes == []


@pytest.mark.parametrize("scopes", [[], None])
def test_no_scopes_are_all(scopes: list[str] | None) -> None:
    apply(acme(api_keys=[{"name": "ci", "key": KEY, "scopes": ["files:read"]}]))
    changed = apply(acme(api_keys=[{"name": "ci", "scopes": scopes}, {"name": "new", "scopes": scopes}]))
    assert changed.changes == ["changed API key acme/ci: scopes", "created API key acme/new"]
    for key in ApiKey.objects.all():
        assert sorted(key.scopes) == ["files:delete", "files:read", "files:write"]


# -- accounts --------------------------------------------------------------------------------------------


def test_a_new_default_takes_the_place_of_the_old_one() -> None:
    apply(acme(provider_accounts=[{**LOCAL, "default": True}]))
    apply({"shared_provider_accounts": [{"name": "shared", "driver": "local", "default": True}]})
    apply(acme(provider_accounts=[{**OPENAI, "default": True}]))
    assert [row.name for row in ProviderAccount.objects.filter(is_default=True)] == ["openai", "shared"]


def test_accounts_of_one_name_are_different_accounts_to_different_owners() -> None:
    document = {
        "organizations": [
            {"name": "acme", "provider_accounts": [LOCAL]},
            {"name": "other", "provider_accounts": [LOCAL]},
        ],
        "shared_provider_accounts": [LOCAL],
    }
    assert [change.rpartition(" ")[2] for change in apply(document).changes] == [
        *("acme", "acme/disk", "other", "other/disk", "shared/disk")
    ]
    assert apply(document).changes == []


def test_the_driver_of_an_account_without_files_can_change() -> None:
    apply(acme(provider_accounts=[{**LOCAL, "name": "main"}]))
    changes = apply(acme(provider_accounts=[{**OPENAI, "name": "main"}])).changes
    assert changes == ["changed provider account acme/main: driver, credentials"]
    assert account("main").driver == "openai"


@pytest.mark.parametrize("nothing", [None, {}, [], ""])
def test_nothing_in_place_of_options_and_credentials_takes_them_away(nothing: Any) -> None:
    bucket = {"name": "bucket", "driver": "bedrock", "options": {"bucket": "one", "prefix": "two"}}
    keys = {"access_key_id": "AKIA", "secret_access_key": "secret"}
    apply(acme(provider_accounts=[{**bucket, "credentials": keys}, {**LOCAL, "options": {"directory": "a"}}]))
    changes = apply(
        acme(
            provider_accounts=[
                {"name": "bucket", "credentials": nothing},
                {"name": "disk", "options": nothing},
            ]
        )
    ).changes
    assert changes == [
        "changed provider account acme/bucket: credentials",
        "changed provider account acme/disk: options",
    ]
    assert (unseal(account("bucket")), account("disk").options) == ({}, {})
    assert account("bucket").options == {"bucket": "one", "prefix": "two"}


def test_an_option_may_be_null_for_its_default() -> None:
    apply(acme(provider_accounts=[{**OPENAI, "options": {"base_url": None}}]))
    assert account("openai").options == {"base_url": None}


def test_options_keep_their_types() -> None:
    options = {
        "base_url": "https://files.example.com/v1",
        "page_size": 50,
        "text_fields_first": True,
        "operations": ["create", "list"],
        "extra_headers": {"x-team": "files"},
    }
    apply(acme(provider_accounts=[{"name": "own", "driver": "openai-compatible", "options": options}]))
    assert account("own").options == options


def test_a_reference_stays_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_KEY", "sk-first")
    document = acme(provider_accounts=[{**OPENAI, "credentials": {"api_key": "env:OPENAI_KEY"}}])
    apply(document)
    assert unseal(account("openai")) == {"api_key": "env:OPENAI_KEY"}
    assert apply(document).changes == []


def test_other_credentials_are_written() -> None:
    apply(acme(provider_accounts=[OPENAI]))
    changes = apply(acme(provider_accounts=[{**OPENAI, "credentials": {"api_key": "sk-second"}}])).changes
    assert changes == ["changed provider account acme/openai: credentials"]
    assert unseal(account("openai")) == {"api_key": "sk-second"}


# -- pruning ---------------------------------------------------------------------------------------------


def test_nothing_goes_unless_it_is_asked_for() -> None:
    apply(FULL)
    assert apply({**acme(api_keys=[], provider_accounts=[]), "shared_provider_accounts": []}).changes == []


def test_pruning_takes_what_the_lists_leave_out() -> None:
    two_keys = [{"name": "ci"}, {"name": "old"}]
    apply({**acme(api_keys=two_keys, provider_accounts=[LOCAL, OPENAI]), "shared_provider_accounts": [LOCAL]})
    document = {
        **acme(api_keys=[{"name": "ci"}], provider_accounts=[OPENAI]),
        "shared_provider_accounts": None,
    }
    assert apply(document, prune=True).changes == [
        "revoked API key acme/old",
        "removed provider account acme/disk",
        "removed provider account shared/disk",
    ]
    assert [row.name for row in ApiKey.objects.filter(revoked_at=None)] == ["ci"]
    assert [row.name for row in ProviderAccount.objects.all()] == ["openai"]
    assert apply(document, prune=True).changes == []


def test_pruning_leaves_kinds_and_organizations_alone_that_the_file_does_not_list(other: Tenant) -> None:
    apply(FULL)
    assert apply(acme(max_files=1), prune=True).changes == ["changed organization acme: max_files"]
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    assert ProviderAccount.objects.count() == 3


def test_pruning_disables_an_account_that_holds_files(other: Tenant) -> None:
    other.api.create(b"bytes", "user_data", "notes.txt")
    document = {"organizations": [{"name": "other", "provider_accounts": []}]}
    disabled = "disabled provider account other/local, which still has files"
    assert apply(document, prune=True).changes == [disabled]
    assert (account("local").is_enabled, account("local").is_default) == (False, False)
    assert apply(document, prune=True).changes == []


def test_a_rehearsed_pruning_removes_nothing() -> None:
    apply(acme(api_keys=[{"name": "ci", "key": KEY}], provider_accounts=[LOCAL]))
    assert len(apply(acme(api_keys=[], provider_accounts=[]), prune=True, dry_run=True).changes) == 2
    assert verify_key(KEY).name == "ci"
    assert account("disk")


def test_what_the_file_says_is_an_operators_account() -> None:
    """Also when somebody else has changed it meanwhile, if the file says where the account leads."""
    entry = {**OPENAI, "options": {"project": "ours"}}
    apply(acme(provider_accounts=[entry]))
    assert account("openai").is_operators
    ProviderAccount.objects.update(is_operators=False, options={"base_url": "https://theirs.example"})
    assert apply(acme(provider_accounts=[{"name": "openai", "enabled": False}])).changes
    assert not account("openai").is_operators
    told = apply(acme(provider_accounts=[entry]))
    assert told.changes == ["changed provider account acme/openai: options, is_operators"]
    assert account("openai").is_operators


def test_a_stored_secret_follows_no_new_endpoint_unless_the_file_has_it() -> None:
    apply(acme(provider_accounts=[OPENAI]))
    moved = {"name": "openai", "options": {"base_url": "https://two.example/v1"}}
    with pytest.raises(ConfigurationFileError, match="enter this again"):
        apply(acme(provider_accounts=[moved]))
    assert account("openai").options == {}
    apply(acme(provider_accounts=[{**moved, "credentials": OPENAI["credentials"]}]))
    assert account("openai").options == moved["options"]


def test_rates_are_set_kept_and_given_back_to_the_settings() -> None:
    apply(acme(requests_per_minute=5, api_keys=[{"name": "ci", "key": KEY, "uploads_at_once": 3}]))
    assert Organization.objects.get(name="acme").requests_per_minute == 5
    changes = apply(acme(api_keys=[{"name": "ci", "key": OTHER_KEY, "bytes_per_minute": 9}])).changes
    assert changes == ["replaced API key acme/ci"]
    row = ApiKey.objects.get(name="ci", revoked_at=None)
    assert (row.uploads_at_once, row.bytes_per_minute) == (3, 9)
    again = apply(acme(requests_per_minute=None, api_keys=[{"name": "ci", "uploads_at_once": None}])).changes
    assert again == [
        "changed organization acme: requests_per_minute",
        "changed API key acme/ci: uploads_at_once",
    ]
