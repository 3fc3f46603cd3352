"""Provider accounts in the admin: the driver's own form, credentials to write only, live tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from files_app.models import AuditEvent, OpenBreaker, Organization, ProviderAccount
from files_app.services.accounts import credentials
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.shares import held_places, take_place
from files_app.services.operations import heartbeats
from files_app.services.upstream.sync import sync_account
from providers.registry import DRIVERS, driver_class
from tests.files_app.admin.conftest import SignIn, World, body_of

SECRET = "sk-a-secret-that-nobody-may-read-9f3c"


def fields(**given: Any) -> dict[str, Any]:
    return {"name": "made-here", "is_enabled": "on", "list_freshness_seconds": "30", **given}


@pytest.fixture
def openai(own: World) -> ProviderAccount:
    account = ProviderAccount(organization=own.organization, name="openai", driver="openai")
    save_account(account, {"api_key": SECRET})
    return account


def change(account: ProviderAccount) -> str:
    return reverse("admin:files_app_provideraccount_change", args=[account.pk])


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_the_form_asks_for_what_the_driver_declares(root: Client, own: World, driver: str) -> None:
    page = root.get(f"{reverse('admin:files_app_provideraccount_add')}?driver={driver}")
    shown = {name for name in page.context["adminform"].form.fields if name.startswith(("option_", "cred"))}
    declared = driver_class(driver)
    assert shown == {f"option_{setting.name}" for setting in declared.options} | {
        f"credential_{setting.name}" for setting in declared.credentials
    }


def test_an_account_is_made_with_encrypted_credentials(root: Client, own: World) -> None:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=openai"
    answer = root.post(address, fields(organization=own.organization.pk, credential_api_key=SECRET))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    account = ProviderAccount.objects.get(name="made-here")
    assert SECRET not in account.credentials
    assert credentials.unseal(account) == {"api_key": SECRET}
    assert account.places.get().authority == "api.openai.com"
    assert AuditEvent.objects.filter(action="account.create", object_id="made-here").exists()


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_the_page_of_an_account_opens_even_when_it_is_incomplete(
    root: Client, own: World, driver: str
) -> None:
    account = ProviderAccount(organization=own.organization, name="incomplete", driver=driver)
    secrets = [setting for setting in driver_class(driver).credentials if setting.secret]
    credentials.seal(account, {setting.name: SECRET for setting in secrets[:1]})
    account.save()
    page = root.get(change(account))
    assert page.status_code == 200
    assert SECRET not in page.content.decode()


def test_an_optional_credential_is_removed(root: Client, own: World) -> None:
    account = ProviderAccount(
        organization=own.organization, name="bucket", driver="bedrock", options={"bucket": "our-bucket"}
    )
    save_account(account, {"access_key_id": "AKIA", "secret_access_key": SECRET, "session_token": "old"})
    data = fields(name="bucket", option_bucket="our-bucket", clear_session_token="on")
    assert root.post(change(account), data).status_code == 302
    account.refresh_from_db()
    assert set(credentials.unseal(account)) == {"access_key_id", "secret_access_key"}


def test_configuration_errors_are_errors_of_the_field(root: Client, own: World) -> None:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=openai"
    missing = root.post(address, fields(organization=own.organization.pk)).context["adminform"].form
    assert missing.errors["credential_api_key"] == ["openai needs the credential 'api_key'."]
    wrong = root.post(
        address,
        fields(organization=own.organization.pk, credential_api_key=SECRET, option_base_url="ftp://x"),
    )
    assert "option_base_url" in wrong.context["adminform"].form.errors
    assert not ProviderAccount.objects.filter(name="made-here").exists()


def test_a_private_endpoint_is_an_error_of_the_field(root: Client, own: World, settings: Settings) -> None:
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=openai"
    data = fields(organization=own.organization.pk, credential_api_key=SECRET)
    form = root.post(address, {**data, "option_base_url": "http://127.0.0.1/v1"}).context["adminform"].form
    assert "not on the public internet" in str(form.errors["option_base_url"])


def test_stored_credentials_are_never_shown_and_stay_when_left_empty(
    root: Client, openai: ProviderAccount
) -> None:
    page = root.get(change(openai)).content.decode()
    assert SECRET not in page and openai.credentials not in page
    assert "ends in …9f3c" in page
    root.post(change(openai), fields(name="renamed"))
    openai.refresh_from_db()
    assert openai.name == "renamed"
    assert credentials.unseal(openai) == {"api_key": SECRET}


def test_references_are_shown_as_such(root: Client, own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_OPENAI_KEY", SECRET)
    account = ProviderAccount(organization=own.organization, name="by-reference", driver="openai")
    save_account(account, {"api_key": "env:OUR_OPENAI_KEY"})
    page = root.get(change(account)).content.decode()
    assert "env:OUR_OPENAI_KEY" in page and SECRET not in page


def test_a_reference_that_a_worker_lacks_is_a_warning_at_once(
    root: Client, openai: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.beat(heartbeats.WORKER)
    monkeypatch.setenv("OUR_OPENAI_KEY", SECRET)
    page = root.post(change(openai), fields(credential_api_key="env:OUR_OPENAI_KEY"), follow=True)
    (warning,) = [str(each) for each in page.context["messages"] if each.level_tag == "warning"]
    assert "worker@" in warning and "cannot read env:OUR_OPENAI_KEY" in warning


def test_bound_staff_may_not_refer_to_the_gateways_own_secrets(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=openai"
    for reference in ("env:SECRET_KEY", "file:/etc/passwd"):
        data = fields(organization=own.organization.pk, credential_api_key=reference)
        form = client.post(address, data).context["adminform"].form
        assert "references are for the platform" in str(form.errors["credential_api_key"])


def test_bound_staff_may_not_make_shared_accounts(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=local"
    for organization in ("", "shared"):
        form = client.post(address, fields(organization=organization)).context["adminform"].form
        assert form.errors["organization"]


def test_whose_a_new_account_is_has_to_be_chosen(root: Client, own: World) -> None:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=local"
    field = root.get(address).context["adminform"].form["organization"]
    assert (field.initial, field.field.initial) == (own.organization.pk, None)  # the only one there is
    Organization.objects.create(name="another")
    field = root.get(address).context["adminform"].form["organization"]
    assert (field.value(), next(value for value, _ in field.field.choices)) == (None, "")
    assert root.post(address, fields(organization="")).context["adminform"].form.errors["organization"]
    assert root.post(address, fields(organization="shared")).status_code == 302
    assert ProviderAccount.objects.get(name="made-here").is_shared


def test_rare_options_are_folded_until_one_is_set(root: Client, own: World) -> None:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=openai-compatible"
    assert "<details>" in root.get(address).content.decode()
    given = fields(organization=own.organization.pk, option_base_url="https://llm.example/v1")
    assert root.post(address, {**given, "option_page_size": "50"}).status_code == 302
    account = ProviderAccount.objects.get(name="made-here")
    assert "<details>" not in root.get(change(account)).content.decode()


def test_the_list_says_for_which_purposes_an_account_is(root: Client, own: World) -> None:
    ProviderAccount.objects.create(organization=own.organization, name="groq", driver="groq")
    page = root.get(reverse("admin:files_app_provideraccount_changelist")).content.decode()
    assert "for batch" in page
    assert "for any purpose" in page


def test_a_stored_secret_is_not_sent_to_another_host(root: Client, openai: ProviderAccount) -> None:
    """Whoever may not read a secret must not be able to have it sent to a server of their own."""
    data = fields(name="openai", option_base_url="https://collector.example/v1")
    form = root.post(change(openai), data).context["adminform"].form
    assert "enter this again" in str(form.errors["credential_api_key"])
    answer = root.post(change(openai), {**data, "credential_api_key": SECRET + "x"})
    assert answer.status_code == 302
    openai.refresh_from_db()
    assert openai.options == {"base_url": "https://collector.example/v1"}


def test_columns_cannot_be_reached_by_lookups(root: Client, openai: ProviderAccount) -> None:
    address = reverse("admin:files_app_provideraccount_changelist")
    for lookup in (
        "credentials__startswith",
        "places__key_digest__startswith",
        "organization__api_keys__digest__startswith",
    ):
        assert root.get(address, {lookup: "g"}).status_code == 400
    keys = reverse("admin:files_app_apikey_changelist")
    assert root.get(keys, {"digest__startswith": "a"}).status_code == 400


def test_the_connection_test_tells_each_step(root: Client, own: World) -> None:
    address = reverse("admin:files_app_provideraccount_test", args=[own.account.pk])
    steps = [json.loads(line) for line in body_of(root.post(address, {"round_trip": "1"})).splitlines()]
    assert [step["name"] for step in steps] == [
        "Configuration",
        "List files",
        "Upload a test file",
        "Read it back",
        "Delete it",
    ]
    assert all(step["ok"] and step["seconds"] >= 0 for step in steps)
    assert AuditEvent.objects.filter(action="account.test", actor="root").exists()


def test_the_connection_test_ends_with_the_step_that_fails(root: Client, own: World) -> None:
    account = ProviderAccount(
        organization=own.organization,
        name="nowhere",
        driver="openai",
        options={"base_url": "http://127.0.0.1:9/v1"},
    )
    save_account(account, {"api_key": SECRET})
    address = reverse("admin:files_app_provideraccount_test", args=[account.pk])
    steps = [json.loads(line) for line in body_of(root.post(address)).splitlines()]
    assert [step["ok"] for step in steps] == [True, False]
    assert steps[1]["name"] == "Network" and "Cannot connect" in steps[1]["detail"]
    assert SECRET not in str(steps)


def test_live_actions_need_a_post(root: Client, own: World) -> None:
    for view in ("test", "sync"):
        assert (
            root.get(reverse(f"admin:files_app_provideraccount_{view}", args=[own.account.pk])).status_code
            == 405
        )


def test_accounts_are_switched_off_and_on(root: Client, own: World) -> None:
    address = reverse("admin:files_app_provideraccount_changelist")
    for action, expected in (("disable_accounts", False), ("enable_accounts", True)):
        root.post(address, {"action": action, "_selected_action": [own.account.pk], "confirmed": "1"})
        own.account.refresh_from_db()
        assert own.account.is_enabled is expected


def test_an_account_with_files_is_not_deleted(root: Client, own: World) -> None:
    answer = root.post(
        reverse("admin:files_app_provideraccount_delete", args=[own.account.pk]), {"post": "yes"}
    )
    assert answer.status_code == 409
    empty = ProviderAccount(organization=own.organization, name="empty", driver="local")
    save_account(empty)
    root.post(reverse("admin:files_app_provideraccount_delete", args=[empty.pk]), {"post": "yes"})
    assert not ProviderAccount.objects.filter(pk=empty.pk).exists()
    assert AuditEvent.objects.filter(action="account.delete", object_id="empty").exists()


def test_a_second_default_account_is_refused_in_words(root: Client, own: World) -> None:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=local"
    data = fields(organization=own.organization.pk, is_default="on", option_directory="second")
    form = root.post(address, data).context["adminform"].form
    assert "Another account is the default already" in str(form.errors)


def test_a_broken_driver_name_does_not_break_the_list(root: Client, db: None) -> None:
    organization = Organization.objects.create(name="left-over")
    ProviderAccount.objects.create(organization=organization, name="old", driver="gone-driver")
    assert root.get(reverse("admin:files_app_provideraccount_changelist")).status_code == 200


@pytest.mark.parametrize("spelling", ["{dir}/{org}", "{DIR}/{org}", "./{dir}", "../{folder}/{dir}", "{dir}"])
def test_a_bound_owner_reaches_no_other_organizations_files_on_disk(
    own: World, foreign: World, sign_in: SignIn, spelling: str
) -> None:
    directory = spelling.format(
        dir=foreign.account.options["directory"],
        DIR=foreign.account.options["directory"].upper(),
        org=foreign.organization.namespace,
        folder=foreign.account.disk_segment,
    )
    client = sign_in("Owner", own.organization)
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver=local"
    answer = client.post(address, fields(organization=own.organization.pk, option_directory=directory))
    if answer.status_code == 200:
        assert "option_directory" in answer.context["adminform"].form.errors
        return
    account = ProviderAccount.objects.get(name="made-here")
    report = sync_account(account)
    assert report is not None and (report.seen, report.adopted) == (0, 0)
    assert foreign.copy.remote_id not in str(driver_for(account).list_files())


def test_nobody_chooses_the_folder_of_an_account(own: World, root: Client) -> None:
    segment = own.account.disk_segment
    data = fields(name=own.account.name, disk_segment="account-" + "0" * 32, option_disk_segment="x")
    assert root.post(change(own.account), data).status_code == 302
    own.account.refresh_from_db()
    assert own.account.disk_segment == segment == f"account-{own.account.uid.hex}"


def test_an_account_that_does_not_answer_is_shown_in_the_list_and_on_its_page(
    root: Client, openai: ProviderAccount
) -> None:
    told = {"opened_at": timezone.now(), "seen_at": timezone.now(), "error": "It hangs <so>."}
    OpenBreaker.objects.create(account=openai, kind="write", process="web-1/7", **told)
    listed = reverse("admin:files_app_provideraccount_changelist")
    for address in listed, f"{listed}?enabled=silent", change(openai):
        page = root.get(address).content.decode()
        assert "write not answered" in page
        assert "It hangs &lt;so&gt;." in page
    OpenBreaker.objects.all().delete()
    assert "not answered" not in root.get(change(openai)).content.decode()
    assert change(openai) not in root.get(f"{listed}?enabled=silent").content.decode()


def test_a_test_that_finds_no_place_says_so(
    root: Client, openai: ProviderAccount, settings: Settings
) -> None:
    settings.WEB_THREADS = 4
    with take_place(openai, None):
        address = reverse("admin:files_app_provideraccount_test", args=[openai.pk])
        (line,) = body_of(root.post(address)).decode().splitlines()
    assert not json.loads(line)["ok"]
    assert held_places() == 0
