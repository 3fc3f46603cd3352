"""Saves provider accounts: checked first, and then placed."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.disk_segments import claim_segment
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import place_account
from files_app.services.accounts.selection import forget_recent_accounts
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError
from providers.transports.guard import leads_inside


def save_account(account: ProviderAccount, credentials: Mapping[str, str] | None = None) -> None:
    """Check, save and place an account. Raises ProviderConfigurationError, and then saves nothing.

    credentials: replace the stored ones; None keeps them.
    """
    if credentials is not None:
        secrets.seal(account, credentials)
    driver = checked_driver(account)
    with transaction.atomic():
        account.save()
        place_account(account, driver)
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
