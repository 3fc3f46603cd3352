"""The driver of an account is built once, and serves nobody else and nothing that has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.selection import account_by_pk
from providers.exceptions import ProviderConfigurationError
from tests.fake_provider import FakeProvider
from tests.files_app.cast import local_account, make_tenant, openai_account

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(fake: FakeProvider) -> ProviderAccount:
    return openai_account(make_tenant("acme").organization, fake)


def fresh(account: ProviderAccount) -> ProviderAccount:
    return ProviderAccount.objects.get(pk=account.pk)


def test_it_is_built_once(account: ProviderAccount) -> None:
    assert driver_for(account) is driver_for(fresh(account))


CHANGES: dict[str, Callable[[ProviderAccount], object]] = {
    "name": lambda account: setattr(account, "name", "other"),
    "options, replaced": lambda account: setattr(account, "options", {"base_url": "https://other.example"}),
    "options, in place": lambda account: account.options.update(base_url="https://other.example"),
    "credentials": lambda account: credentials.seal(account, {"api_key": "another-key"}),
    "driver": lambda account: setattr(account, "driver", "groq"),
    "owner": lambda account: setattr(account, "organization_id", None),
    "operator": lambda account: setattr(account, "is_operators", not account.is_operators),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_account_that_changed_has_a_new_one(account: ProviderAccount, change: str) -> None:
    before = driver_for(account)
    CHANGES[change](account)
    after = driver_for(account)
    assert after is not before
    assert after.account.options == account.options
    assert after.account.name == account.name


def test_it_keeps_what_it_was_made_of(account: ProviderAccount) -> None:
    """The caller's instance may go on to something else, as a form's does that is refused."""
    options = dict(account.options)
    driver = driver_for(account)
    account.options["base_url"] = "https://other.example"
    assert driver.account.options == options
    assert driver_for(fresh(account)) is driver


def test_a_saved_change_counts_at_once(account: ProviderAccount) -> None:
    before = driver_for(account_by_pk(account.pk))
    save_account(account, {"api_key": "another-key-of-the-tenant"})
    after = driver_for(account_by_pk(account.pk))
    assert after is not before
    assert after.account.credentials["api_key"] == "another-key-of-the-tenant"


def test_a_secret_that_is_elsewhere_is_read_each_time(account: ProviderAccount, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("first")
    save_account(account, {"api_key": f"file:{secret}"})
    before = driver_for(account)
    assert before.account.credentials["api_key"] == "first"
    secret.write_text("second")
    assert driver_for(account).account.credentials["api_key"] == "second"
    secret.unlink()
    with pytest.raises(ProviderConfigurationError):
        driver_for(account)


def test_two_accounts_never_share_one(fake: FakeProvider) -> None:
    """Not even where everything that they say is the same."""
    first, second = (openai_account(make_tenant(name).organization, fake) for name in ("acme", "other"))
    assert (first.name, first.options) == (second.name, second.options)
    assert driver_for(first) is not driver_for(second)
    assert driver_for(second).account.namespace == second.namespace


def test_what_is_not_stored_is_used_once(account: ProviderAccount) -> None:
    stored = driver_for(account)
    assert driver_for(account, {"api_key": "entered"}).account.credentials["api_key"] == "entered"
    assert driver_for(account, asks_anyway=True) is not stored
    assert driver_for(account) is stored


def test_settings_that_changed_count(account: ProviderAccount, settings: Settings) -> None:
    before = driver_for(account)
    settings.PROVIDER_READ_TIMEOUT_SECONDS = 7
    assert driver_for(account) is not before


def test_a_disk_is_looked_at_each_time(tmp_path: Path) -> None:
    account = local_account(make_tenant("acme").organization)
    root = driver_for(account).root
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(tmp_path)
    with pytest.raises(ProviderConfigurationError, match="symbolic link"):
        driver_for(account)
