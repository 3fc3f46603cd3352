"""Saves provider accounts: checked first, and then placed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import transaction

from files_app.models import AuditAction, ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.disk_segments import claim_segment
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import place_account
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError


def save_account(
    account: ProviderAccount,
    credentials: Mapping[str, str] | None = None,
    *,
    kept: Collection[str] | None = None,
) -> None:
    """Check, save and place an account. Raises ProviderConfigurationError, and then saves nothing.

    credentials: replace the stored ones; None keeps them. kept: those that nobody entered anew, by default
    all that are stored or none that are given.
    """
    driver = checked_driver(account, credentials, kept=kept)
    if credentials is not None:
        secrets.seal(account, credentials)
    with transaction.atomic():
        account.save()
        place_account(account, driver)
    forget_recent_accounts()


def checked_driver(
    account: ProviderAccount,
    credentials: Mapping[str, str] | None = None,
    *,
    kept: Collection[str] | None = None,
) -> Driver:
    """Return the driver of an account as it would be saved. Raises ProviderConfigurationError.

    The arguments are those of `save_account`.
    """
    claim_segment(account)
    driver = driver_for(account, credentials)
    driver.check_endpoints()
    if kept is None:
        kept = driver.account.credentials if credentials is None else ()
    _refuse_to_move_secrets(driver, account, kept)
    return driver


def switch_account(account: ProviderAccount, *, is_enabled: bool, caller: Caller) -> None:
    """Let the account serve requests, or refuse them."""
    action = AuditAction.ACCOUNT_ENABLE if is_enabled else AuditAction.ACCOUNT_DISABLE
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=is_enabled)
        audit.record(caller, action, object_type="account", object_id=account.name)
    forget_recent_accounts()


def _refuse_to_move_secrets(driver: Driver, account: ProviderAccount, kept: Collection[str]) -> None:
    """A secret that nobody may read must not be sent to a recipient of somebody's choice."""
    stored = ProviderAccount.objects.filter(pk=account.pk).first()
    secret = [each.name for each in driver.credentials if each.secret and each.name in kept]
    if stored and secret and not driver.origins() <= _origins(stored):
        raise ProviderConfigurationError(
            f"'{secret[0]}': the endpoint, or whose it is, has changed; enter this again.", field=secret[0]
        )


def _origins(account: ProviderAccount) -> frozenset[str]:
    """Return where an account's credentials go; nowhere when that cannot be told any more."""
    try:
        return driver_for(account).origins()
    except ProviderConfigurationError:
        return frozenset()
