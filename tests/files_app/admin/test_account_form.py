"""Whose account it is that somebody makes or edits, and what that lets it do."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials
from files_app.services.accounts.saving import save_account
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.files_app.admin.conftest import SignIn, World
from tests.files_app.admin.test_accounts import change, fields

KEYS = {"access_key_id": "AKIA", "secret_access_key": "only-for-tests"}
ROLE = "arn:aws:iam::123456789012:role/files"


def make(client: Client, own: World, driver: str, **given: Any) -> HttpResponse:
    address = f"{reverse('admin:files_app_provideraccount_add')}?driver={driver}"
    return client.post(address, fields(organization=own.organization.pk, **given))


def errors_of(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors) if answer.status_code == 200 else {}


@pytest.fixture
def bucket(own: World) -> ProviderAccount:
    """A bucket that an operator opened with the platform's own credentials."""
    account = ProviderAccount(
        organization=own.organization,
        name="bucket",
        driver="bedrock",
        options={"bucket": "our-bucket", "region": "eu-central-1"},
    )
    save_account(account, {})
    return account


@pytest.mark.parametrize("driver", ["bedrock", "vertex"])
def test_the_platforms_credentials_are_for_superusers_accounts(
    root: Client, own: World, sign_in: SignIn, driver: str
) -> None:
    for client in (sign_in("Owner", own.organization), sign_in("Owner", sees_all=True)):
        errors = errors_of(make(client, own, driver, option_bucket="our-bucket"))
        assert "Enter credentials" in str(errors)
    assert make(root, own, driver, option_bucket="our-bucket").status_code == 302
    assert ProviderAccount.objects.get(name="made-here").is_operators


@pytest.mark.parametrize("option", [{"option_role_arn": ROLE}, {"option_default_credentials_anywhere": "on"}])
def test_roles_are_for_superusers_accounts(
    root: Client, own: World, sign_in: SignIn, option: dict[str, str]
) -> None:
    given = {"option_bucket": "our-bucket", **{f"credential_{name}": value for name, value in KEYS.items()}}
    errors = errors_of(make(sign_in("Owner", own.organization), own, "bedrock", **given, **option))
    assert list(errors) == list(option)
    assert make(root, own, "bedrock", **given, **option).status_code == 302


def test_private_networks_are_for_superusers_accounts(
    root: Client, own: World, sign_in: SignIn, fake: FakeProvider
) -> None:
    given = {"option_base_url": fake.url("openai"), "credential_api_key": VALID_KEY}
    errors = errors_of(make(sign_in("Owner", own.organization), own, "openai", **given))
    assert "Only an operator's account" in errors["option_base_url"][0]
    assert make(root, own, "openai", **given).status_code == 302


def test_an_owners_own_keys_are_enough(own: World, sign_in: SignIn) -> None:
    given = {f"credential_{name}": value for name, value in KEYS.items()}
    made = make(sign_in("Owner", own.organization), own, "bedrock", option_bucket="our-bucket", **given)
    assert made.status_code == 302
    assert not ProviderAccount.objects.get(name="made-here").is_operators


def test_what_an_owner_edits_is_no_operators_account_any_more(
    root: Client, bucket: ProviderAccount, own: World, sign_in: SignIn
) -> None:
    """An account that lives on the platform's credentials can then only be given others."""
    owner = sign_in("Owner", own.organization)
    same = fields(name="bucket", option_bucket="our-bucket", option_region="eu-central-1")
    same["initial-list_freshness_seconds"] = same["list_freshness_seconds"]  # as the form has it
    assert owner.post(change(bucket), same).status_code == 302
    bucket.refresh_from_db()
    assert bucket.is_operators, "nothing was changed"
    other = {**same, "option_bucket": "other-bucket"}
    assert "Enter credentials" in str(errors_of(owner.post(change(bucket), other)))
    given = {f"credential_{name}": value for name, value in KEYS.items()}
    assert owner.post(change(bucket), {**other, **given, "confirm_operators": "on"}).status_code == 302
    bucket.refresh_from_db()
    assert (bucket.is_operators, bucket.options["bucket"]) == (False, "other-bucket")


@pytest.mark.parametrize("is_superuser", [True, False])
def test_an_edit_by_who_sees_everything_leaves_it_as_it_is(
    root: Client, bucket: ProviderAccount, sign_in: SignIn, is_superuser: bool
) -> None:
    client = root if is_superuser else sign_in("Owner", sees_all=True)
    client.post(change(bucket), fields(name="other-name", option_bucket="our-bucket"))
    bucket.refresh_from_db()
    assert (bucket.name, bucket.is_operators) == ("other-name", True)


def test_a_superuser_confirms_an_account_before_it_is_an_operators(
    root: Client, bucket: ProviderAccount, own: World, sign_in: SignIn
) -> None:
    save_account(bucket, KEYS)
    ProviderAccount.objects.filter(pk=bucket.pk).update(is_operators=False)
    same = fields(name="bucket", option_bucket="our-bucket", option_region="eu-central-1")
    for client in (sign_in("Owner", own.organization), sign_in("Owner", sees_all=True)):
        assert b"confirm_operators" not in client.get(change(bucket)).content
        client.post(change(bucket), {**same, "confirm_operators": "on"})
    root.post(change(bucket), {**same, "name": "only-renamed"})
    bucket.refresh_from_db()
    assert (bucket.name, bucket.is_operators) == ("only-renamed", False)
    assert b"confirm_operators" in root.get(change(bucket)).content
    root.post(change(bucket), {**same, "confirm_operators": "on"})
    bucket.refresh_from_db()
    assert bucket.is_operators
    assert b"confirm_operators" not in root.get(change(bucket)).content


@pytest.mark.parametrize(
    ("driver", "stored", "before", "after", "field"),
    [
        (
            "openai-compatible",
            {"api_key": "only-for-tests"},
            {"flavor": "novita"},
            {"option_flavor": "ppio"},
            "credential_api_key",
        ),
        (
            "bedrock",
            KEYS,
            {"bucket": "our-bucket", "region": "eu-central-1"},
            {"option_bucket": "our-bucket", "option_region": "cn-north-1"},
            "credential_secret_access_key",
        ),
        (
            "azure-openai",
            {"tenant_id": "ours", "client_id": "us", "client_secret": "only-for-tests"},
            {"endpoint": "https://ours.example"},
            {"option_endpoint": "https://ours.example", "credential_tenant_id": "theirs"},
            "credential_client_secret",
        ),
    ],
)
def test_a_stored_secret_is_not_sent_to_another_vendor(
    root: Client,
    own: World,
    driver: str,
    stored: dict[str, str],
    before: dict[str, str],
    after: dict[str, str],
    field: str,
) -> None:
    account = ProviderAccount(organization=own.organization, name="moved", driver=driver, options=before)
    save_account(account, stored)
    answer = root.post(change(account), fields(name="moved", **after))
    assert "enter this again" in str(errors_of(answer)[field])
    again = {**after, field: "only-for-tests"}  # also when it is the same
    assert root.post(change(account), fields(name="moved", **again)).status_code == 302
    assert credentials.unseal(ProviderAccount.objects.get(pk=account.pk))[field.removeprefix("credential_")]
