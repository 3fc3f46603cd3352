"""`manage.py accounts`"""

from __future__ import annotations

from files_app.models import AuditEvent, File, ProviderAccount
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, local_account, make_account, openai_account
from tests.files_app.management.shell import failing, good


def test_a_list_shows_accounts_without_credentials(remote: Tenant) -> None:
    local_account(None, "common")
    rows = {row["account"]: row for row in good("accounts", "list", "--json").json}
    assert set(rows) == {"acme/local", "acme/openai", "shared/common"}
    assert rows["acme/openai"]["has_credentials"] is True
    assert rows["acme/openai"]["disk_segment"] == ""
    assert rows["acme/local"]["disk_segment"] == f"account-{remote.accounts['local'].uid.hex}"
    for done in good("accounts", "list"), good("accounts", "list", "--json"):
        assert VALID_KEY not in done.out
        assert ProviderAccount.objects.get(name="openai").credentials not in done.out


def test_a_connection_is_tested_step_by_step(remote: Tenant, fake: FakeProvider) -> None:
    (result,) = good("accounts", "test", "acme/openai", "--round-trip", "--json").json
    assert result["ok"]
    steps = {step["name"]: step["detail"] for step in result["steps"]}
    assert list(steps)[-1] == "Delete it"
    assert "Not allowed to download" in steps["Read it back"]
    assert not fake.store("openai")


def test_a_test_that_fails_behind_its_upload_leaves_nothing(acme: Tenant, fake: FakeProvider) -> None:
    make_account(
        acme.organization,
        "groq",
        "groq",
        options={"base_url": fake.url("groq")},
        credentials={"api_key": VALID_KEY},
    )
    fake.script({"method": "GET", "path": "/content$", "times": None}, behaviours.fail(500))
    (result,) = failing("accounts", "test", "groq", "--round-trip", "--json").json
    assert [step["name"] for step in result["steps"] if not step["ok"]] == ["Read it back"]
    assert result["steps"][-1]["name"] == "Delete it"
    assert not fake.store("groq")


def test_an_upload_is_tested_as_a_client_sends_it(acme: Tenant, fake: FakeProvider) -> None:
    account = openai_account(
        acme.organization, fake, "vllm", driver="openai-compatible", base_url=fake.url("openai")
    )
    (result,) = good("accounts", "test", "vllm", "--upload", "--json").json
    assert [step["name"] for step in result["steps"]][-2:] == ["Upload a test file", "Delete it"]
    (sent,) = (each for each in fake.requests if each.method == "POST")
    assert sent.headers.get("Transfer-Encoding") == "chunked"
    assert not fake.store("openai")

    fake.script({"method": "POST"}, behaviours.fail(411, after_body_bytes=0))
    failed = failing("accounts", "test", "vllm", "--upload").out
    assert "Upload a test file" in failed and "set the account's option 'content_length'" in failed
    account.options["content_length"] = True
    account.save()
    good("accounts", "test", "vllm", "--upload")
    assert [each.headers.get("Transfer-Encoding") for each in fake.requests if each.method == "POST"][
        -1
    ] is None


def test_a_bad_key_fails_the_test_and_says_so(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, key="wrong-key-wrong-key-wrong")
    done = failing("accounts", "test")
    assert "1 account of 2 failed" in done.err
    assert "failed  acme/openai  List files" in done.out and "Check the credentials" in done.out
    assert "wrong-key-wrong" not in done.out


def test_a_sync_takes_in_what_was_made_elsewhere(remote: Tenant, fake: FakeProvider) -> None:
    fake.add_file("openai", filename="result.jsonl", purpose="batch_output", created_at=1_700_000_000)
    (planned,) = good("accounts", "sync", "acme/openai", "--dry-run", "--json").json
    assert (planned["seen"], planned["adopted"]) == (1, 1)
    assert not File.objects.exists()
    (done,) = good("accounts", "sync", "acme/openai", "--json").json
    assert (done["seen"], done["adopted"], done["is_complete"]) == (1, 1, True)
    assert File.objects.get().is_adopted


def test_what_cannot_be_synced_says_why(acme: Tenant) -> None:
    local_account(None, "common")
    assert "not synced: a shared account" in good("accounts", "sync", "common").out
    ProviderAccount.objects.update(is_enabled=False)
    assert "the account is disabled" in good("accounts", "sync", "acme/local").out
    assert "No account is enabled" in failing("accounts", "sync").err


def test_an_account_that_is_shared_is_confirmed(remote: Tenant, fake: FakeProvider) -> None:
    fake.add_file("openai", filename="result.jsonl", created_at=1_700_000_000)
    good("accounts", "sync", "acme/openai")
    openai_account(None, fake, "common")
    good("accounts", "test", "shared/common")
    assert "not synced: it is shared: an account of another" in good("accounts", "sync", "acme/openai").out
    assert "1 file shown again" in good("accounts", "confirm", "acme/openai").err
    assert good("accounts", "sync", "acme/openai", "--json").json[0]["seen"] == 1
    assert "nothing to confirm" in failing("accounts", "confirm", "shared/common").err


def test_a_provider_that_is_down_fails_the_sync_and_not_the_others(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, base_url="http://127.0.0.1:1/v1")
    done = failing("accounts", "sync")
    assert "1 account of 2 could not be synced" in done.err
    assert "acme/local  0 seen" in done.out and "acme/openai  failed" in done.out
    told = {event.object_id: event for event in AuditEvent.objects.filter(action="account.sync")}
    assert {name: event.result for name, event in told.items()} == {"local": "ok", "openai": "failed"}
    assert told["local"].details["seen"] == 0 and "Could not connect" in told["openai"].details["error"]


def test_an_unknown_account_is_answered_with_those_there_are(acme: Tenant) -> None:
    assert "Known accounts: acme/local." in failing("accounts", "test", "acme/nothing").err


def test_accounts_are_switched_off_and_on(acme: Tenant) -> None:
    account = ProviderAccount.objects.get(pk=acme.accounts["local"].pk)
    good("accounts", "disable", "acme/local", "--dry-run")
    account.refresh_from_db()
    assert account.is_enabled
    assert "acme/local  disabled" in good("accounts", "disable", "acme/local").out
    assert acme.api.upload(b"1").status == 400
    assert "was already disabled" in good("accounts", "disable", "acme/local").out
    good("accounts", "enable", "acme/local")
    acme.api.create()
    told = list(AuditEvent.objects.filter(object_id="local").order_by("pk").values_list("action", flat=True))
    assert [action for action in told if "able" in action] == ["account.disable", "account.enable"]
