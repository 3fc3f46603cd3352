"""Which key fits: a wrong one is told from a damaged row."""

from __future__ import annotations

from cryptography.fernet import Fernet
from pytest_django import Settings

from files_app.models import ProviderAccount
from files_app.services.accounts.rotation import check_keys
from tests.files_app.cast import Tenant, make_account


def test_a_wrong_key_is_told_from_a_damaged_row(acme: Tenant, settings: Settings) -> None:
    for name in ("a0", "a1"):
        make_account(acme.organization, name, "openai", options={}, credentials={"api_key": "k"})
    ProviderAccount.objects.filter(name="a0").update(credentials="damaged")
    assert check_keys().unreadable == ("a0",)
    assert not check_keys().is_wrong_key
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert check_keys().is_wrong_key
