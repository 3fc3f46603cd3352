"""Provider accounts: which one serves a request, and the driver that speaks for it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from files_app.exceptions import InvalidRequestError
from files_app.models import Organization, ProviderAccount
from files_app.services.accounts import credentials as secrets
from providers.base import AccountConfig, Driver, Environment
from providers.exceptions import ProviderConfigurationError
from providers.object_store import ObjectStoreDriver
from providers.registry import build_driver
from providers.transports.guard import leads_inside
from providers.transports.http import HTTPTransport, TransportLimits

PROVIDER_HEADER = "x-tfy-provider-name"


@cache
def environment() -> Environment:
    """Return what the process gives to every driver."""
    limits = TransportLimits(
        connect_timeout_seconds=settings.PROVIDER_CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds=settings.PROVIDER_READ_TIMEOUT_SECONDS,
        write_timeout_seconds=settings.PROVIDER_WRITE_TIMEOUT_SECONDS,
        allow_private=settings.ALLOW_PRIVATE_UPSTREAMS,
    )
    return Environment(
        limits=limits, data_dir=Path(settings.DATA_DIR), chunk_bytes=settings.DOWNLOAD_CHUNK_BYTES
    )


@cache
def shared_transport() -> HTTPTransport:
    """Return the process's one HTTP transport, so that connections to providers are reused."""
    return HTTPTransport(environment().limits)


def driver_for(account: ProviderAccount, credentials: Mapping[str, str] | None = None) -> Driver:
    """Return a driver for the account. Raises ProviderConfigurationError.

    credentials: take these instead of the stored ones, for an account that is not saved yet.
    """
    stored = secrets.unseal(account) if credentials is None else credentials
    resolved = {name: secrets.resolve(value) for name, value in stored.items()}
    config = AccountConfig(
        name=account.name,
        options=account.options,
        credentials=resolved,
        environment=environment(),
        transport=shared_transport(),
    )
    return build_driver(account.driver, config)


def select_account(organization: Organization | int, name: str | None) -> ProviderAccount:
    """Return the account called `name`, or the default one. Raises InvalidRequestError.

    An organization's own account hides a shared one of the same name. Without a name the organization's
    default serves, then a shared default.
    """
    usable = ProviderAccount.objects.usable_by(organization)
    if name is not None and "\0" in name:  # PostgreSQL refuses to be asked for it
        found = usable.none()
    elif name is not None:
        found = usable.filter(name=name).order_by("organization_id").all()
    else:
        found = usable.filter(is_default=True).order_by("organization_id").all()
    owned_first = sorted(found, key=lambda account: account.is_shared)
    if owned_first:
        return owned_first[0]
    if name is None:
        raise InvalidRequestError(
            f"Name a provider account in the header {PROVIDER_HEADER}: the organization has no default. "
            f"{_known_names(organization)}",
            param=PROVIDER_HEADER,
        )
    raise InvalidRequestError(
        f"There is no provider account '{name[:64]}'. {_known_names(organization)}", param=PROVIDER_HEADER
    )


def account_by_pk(pk: int) -> ProviderAccount:
    """Return an account as it was at most five seconds ago. Not for changing it."""
    cached = _recent.get(pk)
    if cached is None or cached[0] < time.monotonic():
        account = ProviderAccount.objects.select_related("organization").get(pk=pk)
        cached = _recent[pk] = (time.monotonic() + _RECENT_SECONDS, account)
    return cached[1]


def forget_recent_accounts() -> None:
    """Let the next use of every account ask the database."""
    _recent.clear()


_RECENT_SECONDS = 5.0
_recent: dict[int, tuple[float, ProviderAccount]] = {}


def usable_accounts(organization: Organization | int) -> list[ProviderAccount]:
    """Return the accounts that the organization may use, by name; an owned name hides a shared one."""
    by_name: dict[str, ProviderAccount] = {}
    for account in ProviderAccount.objects.usable_by(organization):
        if account.name not in by_name or not account.is_shared:
            by_name[account.name] = account
    return [by_name[name] for name in sorted(by_name)]


def _known_names(organization: Organization | int) -> str:
    names = [account.name for account in usable_accounts(organization)][:20]
    return f"Known accounts: {', '.join(names)}." if names else "It has no provider accounts yet."


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
    is_store = isinstance(driver, ObjectStoreDriver)
    resolved = [] if is_store else sorted(driver.account.credentials.items())
    account.upstream_digest = _digest(*location, *(f"{name}={value}" for name, value in resolved))
    account.save()
    forget_recent_accounts()


def checked_driver(account: ProviderAccount, credentials: Mapping[str, str] | None = None) -> Driver:
    """Return the driver of an account as it would be saved. Raises ProviderConfigurationError.

    credentials: take these instead of the stored ones.
    """
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
    if account.organization_id is None:
        return False
    others = ProviderAccount.objects.filter(upstream_digest=account.upstream_digest)
    return not others.exclude(organization=account.organization_id).exists()
