"""What a configuration file must not say: refused with the place, and nothing is applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import models

from files_app.models import ApiKey, AuditEvent, Organization, ProviderAccount
from files_app.services.index.callers import system_caller
from files_app.services.tenants.configuration import apply_configuration
from files_app.services.tenants.configuration_file import ConfigurationFileError
from files_app.services.tenants.keys import revoke_key
from tests.files_app.cast import Tenant

pytestmark = pytest.mark.django_db

KEY, OTHER_KEY = "k" * 40, "o" * 40
TEXT = "must be text"
NUMBER = "must be a whole number that is not negative"
TRUTH = "must be true or false"
MAPPING = "must be a mapping of names to values"
LIST = "must be a list"

# The places of what the functions below put into a document.
ACME = "organizations[0]"
ITS_KEY = "organizations[0].api_keys[1]"
ACCOUNT = "organizations[0].provider_accounts[1]"


def refused(document: Any, **how: bool) -> str:
    """Apply a document that has to be refused, see that nothing changed, and return the message."""
    tables: list[type[models.Model]] = [Organization, ApiKey, ProviderAccount, AuditEvent]
    before = [list(table._default_manager.order_by("pk").values()) for table in tables]
    text = document if isinstance(document, str) else json.dumps(document)  # JSON is YAML
    with pytest.raises(ConfigurationFileError) as caught:
        apply_configuration(text, **how)
    assert [list(table._default_manager.order_by("pk").values()) for table in tables] == before
    return str(caught.value)


def organization(**entry: Any) -> dict[str, Any]:
    return {"organizations": [{"name": "acme", **entry}]}


def key(**entry: Any) -> dict[str, Any]:
    return organization(api_keys=[{"name": "good"}, {"name": "ci", **entry}])


def account(**entry: Any) -> dict[str, Any]:
    good = {"name": "disk", "driver": "local"}
    openai = {"name": "openai", "driver": "openai", "credentials": {"api_key": "sk-1"}}
    return organization(provider_accounts=[good, {**openai, **entry}])


@pytest.mark.parametrize("document", ["just words", "5", "false", "[organizations]"])
def test_the_file_is_a_mapping(document: str) -> None:
    assert refused(document).startswith(f"the file: {MAPPING}")


@pytest.mark.parametrize("text", ["organizations: [", "a: b: c", "\t- x", "key: 'open", "a: *b", "a: !b c"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    assert "not valid YAML" in refused(text)


@pytest.mark.parametrize(
    ("document", "place", "known"),
    [
        ({"organisations": []}, "the file", "organizations, shared_provider_accounts"),
        ({"organizations": [], "version": 1}, "the file", "organizations, shared_provider_accounts"),
        ("{1: x}", "the file", "organizations, shared_provider_accounts"),
        (organization(quota=1), ACME, "quota_bytes"),
        (organization(is_active=True), ACME, "active"),
        (key(scope=[]), ITS_KEY, "bytes_per_minute, key, name, requests_per_minute, scopes"),
        (account(option={}), ACCOUNT, "list_freshness, name, options"),
        (account(is_default=True), ACCOUNT, "credentials, default, driver"),
        (
            {"shared_provider_accounts": [{"name": "s", "driver": "local", "organization": "acme"}]},
            "shared_provider_accounts[0]",
            "credentials, default, driver",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(document: Any, place: str, known: str) -> None:
    message = refused(document)
    assert message.startswith(f"{place}: unknown key ")
    assert known in message


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        ({"organizations": {}}, "organizations", LIST),
        ({"organizations": "acme"}, "organizations", LIST),
        ({"organizations": 0}, "organizations", LIST),
        ({"shared_provider_accounts": {"name": "x"}}, "shared_provider_accounts", LIST),
        ({"organizations": ["acme"]}, ACME, MAPPING),
        ({"organizations": [{"name": "one"}, None]}, "organizations[1]", MAPPING),
        ({"organizations": [{"name": "one"}, []]}, "organizations[1]", MAPPING),
        ({"organizations": [{}]}, f"{ACME}.name", "is required and must be text"),
        (organization(name=None), f"{ACME}.name", TEXT),
        (organization(name=5), f"{ACME}.name", TEXT),
        (organization(name=True), f"{ACME}.name", TEXT),
        (organization(name=["acme"]), f"{ACME}.name", TEXT),
        (organization(name=""), f"{ACME}.name", "must not be empty"),
        (organization(name=" acme"), f"{ACME}.name", "Use 1 to 64 letters"),
        (organization(name="a/b"), f"{ACME}.name", "Use 1 to 64 letters"),
        (organization(name="a" * 65), f"{ACME}.name", "Use 1 to 64 letters"),
        *(
            (organization(**{name: value}), f"{ACME}.{name}", NUMBER)
            for name in ("quota_bytes", "max_file_bytes", "max_files")
            for value in (-1, "5", 5.0, True, False, None, [], {})
        ),
        (organization(quota_bytes=2**63), f"{ACME}.quota_bytes", str(2**63 - 1)),
        *((organization(active=value), f"{ACME}.active", TRUTH) for value in (0, 1, "true", None)),
        (organization(api_keys={"name": "ci"}), f"{ACME}.api_keys", LIST),
        (organization(provider_accounts="x"), f"{ACME}.provider_accounts", LIST),
        (organization(api_keys=["ci"]), f"{ACME}.api_keys[0]", MAPPING),
        (organization(api_keys=[{}]), f"{ACME}.api_keys[0].name", "is required and must be text"),
        (key(name=7), f"{ITS_KEY}.name", TEXT),
        (key(name="a b"), f"{ITS_KEY}.name", "Use 1 to 64 letters"),
        (key(key=None), f"{ITS_KEY}.key", TEXT),
        (key(key=int("7" * 40)), f"{ITS_KEY}.key", "write numbers in quotes"),
        (key(key=["x"]), f"{ITS_KEY}.key", TEXT),
        (key(key="k" * 31), f"{ITS_KEY}.key", "at least 32 printable ASCII"),
        (key(key="ü" * 40), f"{ITS_KEY}.key", "at least 32 printable ASCII"),
        (key(key=""), f"{ITS_KEY}.key", "must not be empty"),
        (key(key="env:NOT_SET_ANYWHERE"), f"{ITS_KEY}.key", "NOT_SET_ANYWHERE is not set"),
        (key(key="file:/not/there"), f"{ITS_KEY}.key", "Cannot read"),
        (key(scopes="files:read"), f"{ITS_KEY}.scopes", LIST),
        (key(scopes=["files:admin"]), f"{ITS_KEY}.scopes[0]", "files:read, files:write, files:delete"),
        (organization(provider_accounts=[None]), f"{ACME}.provider_accounts[0]", MAPPING),
        (organization(provider_accounts=[{}]), f"{ACME}.provider_accounts[0].name", "is required"),
        (account(name="a b"), f"{ACCOUNT}.name", "Use 1 to 64 letters"),
        (
            organization(provider_accounts=[{"name": "new"}]),
            f"{ACME}.provider_accounts[0].driver",
            "is required",
        ),
        (account(driver=None), f"{ACCOUNT}.driver", "must be one of: anthropic, azure-openai"),
        (account(driver=5), f"{ACCOUNT}.driver", "must be one of: anthropic, azure-openai"),
        (account(driver="opnai"), f"{ACCOUNT}.driver", "no driver 'opnai'"),
        (account(driver="opnai"), f"{ACCOUNT}.driver", "Known drivers: anthropic, azure-openai"),
        (account(options=["x"]), f"{ACCOUNT}.options", MAPPING),
        (account(options="x"), f"{ACCOUNT}.options", MAPPING),
        (account(options={"url": "x"}), f"{ACCOUNT}.options", "option 'url'"),
        (account(options={"url": "x"}), f"{ACCOUNT}.options", "it takes: base_url, organization, project"),
        (account(options={"base_url": "ftp://x"}), f"{ACCOUNT}.options", "'base_url'"),
        (account(credentials={}), f"{ACCOUNT}.credentials", "needs the credential 'api_key'"),
        (account(credentials="x"), f"{ACCOUNT}.credentials", MAPPING),
        (
            account(credentials={"api_key": 5}),
            f"{ACCOUNT}.credentials.api_key",
            "write numbers in quotes",
        ),
        (
            account(credentials={"api_key": None}),
            f"{ACCOUNT}.credentials.api_key",
            TEXT,
        ),
        (
            account(credentials={"api_key": "env:NOT_SET_ANYWHERE"}),
            f"{ACCOUNT}.credentials.api_key",
            "NOT_SET_ANYWHERE is not set",
        ),
        (
            account(credentials={"api_key": "sk-1", "secret": "x"}),
            f"{ACCOUNT}.credentials",
            "credential 'secret'",
        ),
        *(
            (account(**{name: value}), f"{ACCOUNT}.{name}", TRUTH)
            for name in ("default", "enabled")
            for value in (None, 1, "yes", [])
        ),
        *(
            (account(list_freshness=value), f"{ACCOUNT}.list_freshness", NUMBER)
            for value in (-1, True, "30", 1.5, [])
        ),
        ({"shared_provider_accounts": [5]}, "shared_provider_accounts[0]", MAPPING),
        (
            {"shared_provider_accounts": [{"name": "s", "driver": "local", "enabled": 2}]},
            "shared_provider_accounts[0].enabled",
            TRUTH,
        ),
    ],
)
def test_a_mistake_is_refused_at_its_place(document: Any, place: str, words: str) -> None:
    message = refused(document)
    assert message.startswith(f"{place}: ")
    assert words in message


def test_a_mistake_at_the_end_undoes_what_stands_before_it(acme: Tenant, other: Tenant) -> None:
    document = {
        "organizations": [
            {"name": "acme", "quota_bytes": 5, "api_keys": [{"name": "main", "key": KEY}]},
            {"name": "other", "api_keys": [], "provider_accounts": []},
            {"name": "third", "provider_accounts": [{"name": "openai", "driver": "openai"}]},
        ]
    }
    assert "organizations[2].provider_accounts[0]" in refused(document, prune=True)
    refused(document, prune=True, dry_run=True)


def test_a_key_of_somebody_else_is_refused(acme: Tenant) -> None:
    apply_configuration(
        json.dumps({"organizations": [{"name": "other", "api_keys": [{"name": "ci", "key": KEY}]}]})
    )
    message = refused(organization(api_keys=[{"name": "mine", "key": KEY}]))
    assert message.startswith(f"{ACME}.api_keys[0].key: ")
    assert "in use elsewhere or was revoked" in message


def test_a_revoked_key_does_not_come_back(acme: Tenant) -> None:
    document = organization(api_keys=[{"name": "ci", "key": KEY}])
    apply_configuration(json.dumps(document))
    revoke_key(ApiKey.objects.get(name="ci"), caller=system_caller())
    assert "was revoked" in refused(document)


def test_the_driver_of_an_account_with_files_stays(acme: Tenant) -> None:
    acme.api.create(b"bytes", "user_data", "notes.txt")
    entry = {"name": "local", "driver": "openai", "credentials": {"api_key": "sk-1"}}
    message = refused(organization(provider_accounts=[entry]))
    assert message.startswith(f"{ACME}.provider_accounts[0].driver: the account holds files of 'local'")


def test_an_account_that_stays_as_it_is_still_has_to_work(acme: Tenant) -> None:
    broken = ProviderAccount.objects.create(organization=acme.organization, name="openai", driver="openai")
    message = refused(organization(provider_accounts=[{"name": broken.name}]))
    assert message.startswith(f"{ACME}.provider_accounts[0]")
    assert "needs the credential 'api_key'" in message


def test_a_private_endpoint_is_refused(settings: Any) -> None:
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    document = account(options={"base_url": "https://127.0.0.1/v1"})
    message = refused(document)
    assert message.startswith(ACCOUNT)
    assert "ALLOW_PRIVATE_UPSTREAMS" in message


SECRET = "hunter2-9f3c-" + "x" * 30


@pytest.mark.parametrize(
    "document",
    [
        key(key=SECRET, scopes=["files:admin"]),
        key(key=[SECRET]),
        key(key=SECRET + "ü"),
        key(key=SECRET[:31]),
        key(key={SECRET: 1}),
        organization(api_keys=[{"name": "one", "key": SECRET}, {"name": "two", "key": SECRET}]),
        organization(api_keys=[SECRET]),
        organization(api_keys=SECRET),
        account(credentials=SECRET),
        account(credentials=[SECRET]),
        account(credentials={"api_key": [SECRET]}),
        account(credentials={"api_key": SECRET + "\n"}),
        account(credentials={"api_key": SECRET, "other": "x"}),
        account(credentials={"api_key": SECRET}, options={"base_url": "nowhere"}),
    ],
)
def test_no_message_holds_a_secret(document: Any) -> None:
    assert SECRET[:8] not in refused(document)


@pytest.mark.parametrize(
    "text",
    [
        f"api_key: {SECRET}: x",
        f"api_key: '{SECRET}",
        f"api_key: *{SECRET}",
        f"api_key: !{SECRET} x",
        f"api_key: !{SECRET}!{SECRET} x",
        f"api_key: &{SECRET} x\nother: &{SECRET} y",
        f"? [{SECRET}]\n: x",
        f"api_key: [{SECRET}\nother: x",
        f"api_key: !!int {SECRET}",
        f"api_key: !!bool {SECRET}",
        f"api_key: !!timestamp {SECRET}",
        f"api_key: @{SECRET}",
        f"{SECRET}",
        f"- {SECRET}",
        f"{{organizations, {SECRET}}}",
        f"organizations: [{{name: acme, api_keys: [{{name: ci, {SECRET}}}]}}]",
        "organizations: [{name: acme, provider_accounts: "
        f"[{{name: openai, driver: openai, credentials: {{{SECRET}}}}}]}}]",
    ],
)
def test_no_message_about_a_slip_in_yaml_holds_a_secret(text: str) -> None:
    assert SECRET[:8] not in refused(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("organizations: []\norganizations: - x", "line 2, column 16"),
        ("organizations:\n  - &a 1\n  - *b", "line 3, column 5"),
        ("organizations: []\n---\norganizations: []", "line 2, column 1: expected a single document"),
        ("a: &x 1\nb: &x 2", "line 2, column 4: found duplicate anchor"),
        ("organizations: [}", "line 1, column 17"),
        ("organizations: [", "a value, or the ] or } that closes"),
        ("organizations: [a, b", "[ is not closed"),
        ("a: b: c", "line 1, column 5: text with ': ' in it has to be in quotes"),
        ("\t- x", "a tab: indent with spaces"),
        ("a:\n  - b\n c: 1", "line 3, column 2: this line is indented in another way"),
        ("organizations: 2026-99-99", ""),
        (f"organizations: {'1' * 5000}", ""),
        (f"{'[' * 3000}{']' * 3000}", ""),
        ("organizations: \x07", ""),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, where: str) -> None:
    message = refused(text)
    assert message.startswith("not valid YAML")
    assert where in message
    assert "\n" not in message


def test_an_option_that_json_has_no_word_for_is_refused() -> None:
    account = "shared_provider_accounts: [{name: disk, driver: local, options: OPTIONS}]"
    for options in (
        "{directory: .nan}",
        "{directory: 2026-01-31}",
        "&all {directory: *all}",
        "{directory: !!set {}}",
    ):
        message = refused(account.replace("OPTIONS", options))
        assert message.startswith("shared_provider_accounts[0].options.directory: cannot be written as JSON")


@pytest.mark.parametrize(
    "scopes", ["files:read", ["files:admin"], [1], ["files:read", ["files:write"]], {}, 5]
)
def test_scopes_of_a_key_that_is_there_are_checked_too(scopes: Any, acme: Tenant) -> None:
    document = organization(api_keys=[{"name": "main", "scopes": scopes}])
    assert refused(document).startswith("organizations[0].api_keys[0].scopes")


def test_credentials_that_cannot_be_decrypted_are_refused_with_their_place(settings: Any) -> None:
    document = account()
    apply_configuration(json.dumps(document))
    settings.FIELD_ENCRYPTION_KEYS = ["b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMSE="]
    assert refused(document).startswith(f"{ACCOUNT}: The credentials of 'openai' cannot be decrypted")


def test_a_secret_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    reference = f"file:{tmp_path}/binary"
    assert refused(key(key=reference)).startswith(f"{ITS_KEY}.key: The secret file")
    message = refused(account(credentials={"api_key": reference}))
    assert message.startswith(f"{ACCOUNT}.credentials.api_key: The secret file")
    assert refused(key(key="file:\0")).startswith(f"{ITS_KEY}.key: ")
