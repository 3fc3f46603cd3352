"""The one door to a provider: drivers whose calls are timed, counted and hold no database connection."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from files_app.models import FileCopy, ProviderAccount
from files_app.models.accounts import SHARED
from files_app.observability import metrics
from files_app.services.accounts import breakers
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.selection import account_by_pk
from files_app.services.index.transactions import release_connection
from providers.base import AccountConfig, Driver, Environment
from providers.objects import Operation
from providers.registry import build_driver, driver_class
from providers.transports.http import HTTPTransport, TransportLimits


@cache
def environment(is_operators: bool) -> Environment:
    """Return what the process gives to every driver; the private network is for operators' accounts."""
    limits = TransportLimits(
        connect_timeout_seconds=settings.PROVIDER_CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds=settings.PROVIDER_READ_TIMEOUT_SECONDS,
        write_timeout_seconds=settings.PROVIDER_WRITE_TIMEOUT_SECONDS,
        allow_private=is_operators and settings.ALLOW_PRIVATE_UPSTREAMS,
        ca_bundle=settings.CA_BUNDLE,
        proxies=settings.PROVIDER_PROXIES,
    )
    return Environment(
        limits=limits, data_dir=Path(settings.DATA_DIR), chunk_bytes=settings.DOWNLOAD_CHUNK_BYTES
    )


@cache
def shared_transport(is_operators: bool) -> HTTPTransport:
    """Return one of the process's two HTTP transports, so that connections to providers are reused.

    An operator's account leaves no connection into the private network open for the others.
    """
    return HTTPTransport(environment(is_operators).limits)


class _Door:
    """What happens around every call to an account's provider.

    No database connection is held meanwhile; the call is timed and its failure counted; and an account that
    does not answer is not asked, unless `asks_anyway`.
    """

    def __init__(self, account: ProviderAccount, *, asks_anyway: bool) -> None:
        self._account = account
        self._asks_anyway = asks_anyway

    @contextmanager
    def meter(self, driver_name: str, operation: Operation) -> Iterator[None]:
        breaker = self._breaker(operation)
        if breaker and not self._asks_anyway:
            breaker.admit()
        release_connection()
        with metrics.provider_operation(driver_name, operation, self._names):
            if breaker is None:
                yield
            else:
                with breakers.noting(breaker, is_whole=operation is not Operation.CONTENT):
                    yield

    @contextmanager
    def stream_meter(self, driver_name: str, operation: Operation) -> Iterator[None]:
        breaker = self._breaker(operation)
        if breaker is None:
            yield
        else:
            with breakers.noting(breaker):
                yield

    def _names(self) -> tuple[str, str]:
        """Return the names of the organization, or `shared`, and of the account, for the metrics."""
        if self._account.organization_id is None:
            return SHARED, self._account.name
        try:
            owner = account_by_pk(self._account.pk).organization
        except (DatabaseError, InterfaceError, ProviderAccount.DoesNotExist):  # nor is it saved, perhaps
            owner = None
        return owner.name if owner else "", self._account.name

    def _breaker(self, operation: Operation) -> breakers.Breaker | None:
        """Return the breaker; None for an account that is not saved, and for a disk, which does not hang."""
        if self._account.pk is None or driver_class(self._account.driver).capabilities.storage == "disk":
            return None
        return breakers.breaker_of(self._account, operation)


def driver_for(
    account: ProviderAccount, credentials: Mapping[str, str] | None = None, *, asks_anyway: bool = False
) -> Driver:
    """Return a driver for the account. Raises ProviderConfigurationError.

    The same one while nothing that it is made of has changed, for all threads; a provider's API has no more
    to say than the account does. A store's looks at disk and network when it is made, and is made each time.

    credentials: take these instead of the stored ones, for an account that is not saved yet.
    asks_anyway: also when the provider has not answered lately, for somebody who looks into it.
    """
    stored = secrets.unseal(account) if credentials is None else credentials
    resolved = {name: secrets.resolve(value) for name, value in stored.items()}
    is_plain = credentials is None and not asks_anyway and account.pk is not None
    if not (is_plain and account.is_at_provider):
        return _build(account, resolved, asks_anyway=asks_anyway)
    made_of = _ingredients(account, resolved)
    found = _built.get(account.pk)
    if found is not None and found[0] == made_of:
        return found[1]
    own = _snapshot(account)
    driver = _build(own, resolved)
    if len(_built) >= _MOST_BUILT:
        _built.clear()
    _built[account.pk] = _ingredients(own, resolved), driver
    return driver


#: By the account's primary key: what a driver was made of, and the driver.
_built: Final[dict[int, tuple[tuple[object, ...], Driver]]] = {}
_MOST_BUILT: Final = 1_000


def forget_drivers() -> None:
    """Build each driver anew when it is next wanted."""
    _built.clear()


def _ingredients(account: ProviderAccount, resolved: Mapping[str, str]) -> tuple[object, ...]:
    """Return all that a driver and its door are made of. resolved: what references lead to now."""
    return (
        *(account.driver, account.name, account.options, account.credentials, resolved),
        *(account.organization_id, account.disk_segment, account.is_operators),
        *(environment(account.is_operators), shared_transport(account.is_operators)),
    )


def _snapshot(account: ProviderAccount) -> ProviderAccount:
    """Return the account as it is now, whatever becomes of the caller's instance."""
    taken = copy.copy(account)
    taken.options = copy.deepcopy(account.options)
    return taken


def _build(account: ProviderAccount, resolved: Mapping[str, str], *, asks_anyway: bool = False) -> Driver:
    door = _Door(account, asks_anyway=asks_anyway)
    config = AccountConfig(
        name=account.name,
        options=account.options,
        credentials=resolved,
        environment=environment(account.is_operators),
        transport=shared_transport(account.is_operators),
        meter=door.meter,
        stream_meter=door.stream_meter,
        disk_segment=account.disk_segment,
        namespace=account.namespace,
        is_operators=account.is_operators,
    )
    return build_driver(account.driver, config)


def may_not_show_yet(copy: FileCopy, driver: Driver) -> bool:
    """Whether a provider's 404 may mean that it does not show the copy yet; a disk shows what it has."""
    return copy.is_young and driver.capabilities.storage != "disk"
