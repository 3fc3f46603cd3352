"""Saves provider accounts: checked first, with what tells which accounts see the same files."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.disk_segments import claim_segment, lacks_segment
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import forget_recent_accounts
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError
from providers.transports.guard import leads_inside


def save_account(account: ProviderAccount, credentials: Mapping[str, str] | None = None) -> None:
    """Check, fingerprint and save an account. Raises ProviderConfigurationError, and then saves nothing.

    credentials: replace the stored ones; None keeps them.
    """
    if credentials is not None:
        secrets.seal(account, credentials)
    driver = checked_driver(account)
    location = (account.driver, *driver.upstream())
    account.location_digest = _digest(*location)
    # A bucket holds the same files for everybody; what an API key shows depends on the key.
    resolved = [] if driver.names_files else sorted(driver.account.credentials.items())
    account.upstream_digest = _digest(*location, *(f"{name}={value}" for name, value in resolved))
    account.save()
    forget_recent_accounts()


def checked_driver(account: ProviderAccount, credentials: Mapping[str, str] | None = None) -> Driver:
    """Return the driver of an account as it would be saved. Raises ProviderConfigurationError.

    credentials: take these instead of the stored ones.
    """
    claim_segment(account)
    driver = driver_for(account, credentials)
    _refuse_private_endpoints(driver)
    return driver


def switch_account(account: ProviderAccount, *, is_enabled: bool) -> None:
    """Let the account serve requests, or refuse them."""
    ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=is_enabled)
    forget_recent_accounts()


def _refuse_private_endpoints(driver: Driver) -> None:
    """Tell the operator at once what every connection checks again."""
    if settings.ALLOW_PRIVATE_UPSTREAMS:
        return
    for setting in driver.options:
        host = urlsplit(driver.text_option(setting.name)).hostname if setting.kind == "url" else None
        if host and leads_inside(host):
            raise ProviderConfigurationError(
                f"'{setting.name}': {host} is not on the public internet. Set ALLOW_PRIVATE_UPSTREAMS=true "
                "if provider accounts may reach your own network.",
                field=setting.name,
            )


def _digest(*parts: str) -> str:
    """Return a keyed digest, so that the column tells nobody whether a guessed secret is right."""
    key = settings.API_KEY_PEPPERS[-1].encode()
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def is_exclusive(account: ProviderAccount) -> bool:
    """Whether one organization alone sees what is at this account's upstream.

    Then a file that the gateway did not upload can only be that organization's: it may be adopted.
    """
    if account.organization_id is None or account.shared_since is not None or lacks_segment(account):
        return False
    others = ProviderAccount.objects.filter(upstream_digest=account.upstream_digest)
    return not others.exclude(organization=account.organization_id).exists()
