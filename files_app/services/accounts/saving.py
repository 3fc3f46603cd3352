"""Saves provider accounts: checked first, with what tells which accounts see the same files."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping

from django.conf import settings

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import forget_recent_accounts
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError


def save_account(
    account: ProviderAccount,
    credentials: Mapping[str, str] | None = None,
    *,
    kept: Collection[str] | None = None,
) -> None:
    """Check, fingerprint and save an account. Raises ProviderConfigurationError, and then saves nothing.

    credentials: replace the stored ones; None keeps them. kept: those that nobody entered anew, by default
    all that are stored or none that are given.
    """
    driver = checked_driver(account, credentials, kept=kept)
    if credentials is not None:
        secrets.seal(account, credentials)
    location = (account.driver, *driver.upstream())
    account.location_digest = _digest(*location)
    # A bucket holds the same files for everybody; what an API key shows depends on the key.
    resolved = [] if driver.names_files else sorted(driver.account.credentials.items())
    account.upstream_digest = _digest(*location, *(f"{name}={value}" for name, value in resolved))
    account.save()
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
    driver = driver_for(account, credentials)
    driver.check_endpoints()
    if kept is None:
        kept = driver.account.credentials if credentials is None else ()
    _refuse_to_move_secrets(driver, account, kept)
    return driver


def switch_account(account: ProviderAccount, *, is_enabled: bool) -> None:
    """Let the account serve requests, or refuse them."""
    ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=is_enabled)
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


def _digest(*parts: str) -> str:
    """Return a keyed digest, so that the column tells nobody whether a guessed secret is right."""
    key = settings.API_KEY_PEPPERS[-1].encode()
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def is_exclusive(account: ProviderAccount) -> bool:
    """Whether one organization alone sees what is at this account's upstream.

    Then a file that the gateway did not upload can only be that organization's: it may be adopted.
    """
    if account.organization_id is None:
        return False
    others = ProviderAccount.objects.filter(upstream_digest=account.upstream_digest)
    return not others.exclude(organization=account.organization_id).exists()
