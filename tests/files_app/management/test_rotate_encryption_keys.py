"""`manage.py rotate_encryption_keys`"""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from files_app.models import AuditEvent, ProviderAccount
from files_app.services.accounts.credentials import is_current, reseal, unseal
from tests.files_app.cast import Tenant, make_account
from tests.files_app.management.shell import failing, good


@pytest.fixture
def sealed(acme: Tenant) -> list[ProviderAccount]:
    """Three accounts whose credentials are encrypted with the key of the suite."""
    return [
        make_account(
            acme.organization, f"a{number}", "openai", options={}, credentials={"api_key": f"k{number}"}
        )
        for number in range(3)
    ]


@pytest.fixture
def new_key(sealed: list[ProviderAccount], settings: Settings) -> str:
    """A new key in front of the old one."""
    key = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [key, *settings.FIELD_ENCRYPTION_KEYS]
    return key


def credentials() -> list[str]:
    return list(ProviderAccount.objects.order_by("pk").values_list("credentials", flat=True))


def test_a_dry_run_changes_nothing(new_key: str) -> None:
    before = credentials()
    assert "3 accounts would be encrypted anew" in good("rotate_encryption_keys", "--dry-run").out
    assert credentials() == before


def test_afterwards_the_old_key_can_go(new_key: str, settings: Settings) -> None:
    assert good("rotate_encryption_keys", "--json").json["rotated"] == 3
    settings.FIELD_ENCRYPTION_KEYS = [new_key]
    accounts = ProviderAccount.objects.exclude(credentials="").order_by("pk")
    assert [unseal(account) for account in accounts] == [{"api_key": f"k{n}"} for n in range(3)]
    assert AuditEvent.objects.filter(action="account.reencrypt", actor_type="command").count() == 3


def test_a_run_that_broke_off_is_started_again(new_key: str, sealed: list[ProviderAccount]) -> None:
    reseal(sealed[0])
    sealed[0].save()
    done = good("rotate_encryption_keys", "--json").json
    assert (done["rotated"], done["current"]) == (2, 1)
    assert "0 accounts encrypted anew, 3 had the first key" in good("rotate_encryption_keys").out


def test_credentials_changed_meanwhile_are_not_overwritten(
    new_key: str, sealed: list[ProviderAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    from files_app.services.accounts import credentials as module

    def reseal_late(account: ProviderAccount) -> None:
        reseal(account)
        ProviderAccount.objects.filter(pk=account.pk).update(credentials="newer")

    monkeypatch.setattr(module, "reseal", reseal_late)
    assert good("rotate_encryption_keys", "--json").json["changed meanwhile"] == 3
    assert set(credentials()) >= {"newer"}


def test_an_account_that_no_key_fits_is_reported_and_others_go_on(
    new_key: str, sealed: list[ProviderAccount]
) -> None:
    ProviderAccount.objects.filter(pk=sealed[1].pk).update(credentials="damaged")
    done = failing("rotate_encryption_keys")
    assert "acme/a1: The credentials of 'a1' cannot be decrypted" in done.out
    assert "Keep every key" in done.err
    assert "can be taken off" not in done.out
    assert is_current(ProviderAccount.objects.get(pk=sealed[2].pk))


def test_credentials_of_another_row_are_reported(new_key: str, sealed: list[ProviderAccount]) -> None:
    ProviderAccount.objects.filter(pk=sealed[0].pk).update(credentials=sealed[1].credentials)
    assert "belong to another account" in failing("rotate_encryption_keys").out
