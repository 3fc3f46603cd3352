"""When an account is synced: in its turn, and before a list that would show an old state."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Literal

import structlog
from django.conf import settings
from django.utils import timezone

from files_app.models import ProviderAccount
from files_app.services.accounts import lanes
from files_app.services.accounts.breakers import refusal
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.accounts.lanes import Work
from files_app.services.accounts.shares import place_if_free
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import release_connection
from files_app.services.upstream.adoption import can_adopt
from files_app.services.upstream.aside import aside
from files_app.services.upstream.sync import sync_account
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.objects import Operation

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.1

_Outcome = Literal["done", "failed", "elsewhere"]


def is_stale(account: ProviderAccount) -> bool:
    """Whether the account's index may lag behind its provider more than its settings allow."""
    return not account.is_shared and _is_due(account, 0)


def due_at(account: ProviderAccount) -> datetime | None:
    """Return when the account's next sync in its turn is due; None when its index follows no provider."""
    if account.list_freshness_seconds is None:
        return None
    if account.last_synced_at is None:
        return account.created_at
    return _next_due(account.last_synced_at, account.list_freshness_seconds, settings.SYNC_INTERVAL_SECONDS)


def _is_due(account: ProviderAccount, at_least_seconds: float) -> bool:
    if account.list_freshness_seconds is None:
        return False
    if account.last_synced_at is None:
        return True
    due = _next_due(account.last_synced_at, account.list_freshness_seconds, at_least_seconds)
    return timezone.now() > due


def _next_due(synced_at: datetime, freshness_seconds: int, at_least_seconds: float) -> datetime:
    return synced_at + timedelta(seconds=max(freshness_seconds, at_least_seconds))


def sync_due_accounts() -> int:
    """Offer the syncs that are due to the process's threads and return how many were taken."""
    due = [
        account
        for account in ProviderAccount.objects.filter(is_enabled=True)
        if _is_due(account, settings.SYNC_INTERVAL_SECONDS) and not refusal(account, Operation.LIST)
    ]
    return sum(lanes.offer(Work.SYNC, account.pk, _syncing(account)) for account in due)


def _syncing(account: ProviderAccount) -> Callable[[], bool]:
    def sync() -> bool:
        account.refresh_from_db()  # it may have waited, and another may have been faster
        with on_its_own("sync", account):
            if _is_due(account, settings.SYNC_INTERVAL_SECONDS):
                sync_account(account)
        return False

    return sync


def sync_before_list(account: ProviderAccount, *, caller: Caller) -> str:
    """Bring the index up to date for a list, waiting SYNC_WAIT_SECONDS at the most.

    Returns how fresh the answer is: `fresh` (nothing to ask, or asked with success) or `stale`. A sync that
    takes longer goes on, and a later list has what it found. Nobody waits where too many wait already.
    """
    if not is_stale(account):
        return "fresh"
    if refusal(account, Operation.LIST):
        return "stale"
    with place_if_free(account, caller) as is_free:  # first: what follows asks the database
        if not is_free:
            return "stale"
        return _synced(account) if _can_be_asked(account) else "fresh"


def _synced(account: ProviderAccount) -> str:
    release_connection()
    deadline = time.monotonic() + settings.SYNC_WAIT_SECONDS
    try:
        outcome = _begin_sync(account).result(timeout=settings.SYNC_WAIT_SECONDS)
    except TimeoutError:
        return "stale"
    account.refresh_from_db()
    while outcome == "elsewhere" and is_stale(account):
        if time.monotonic() > deadline:
            return "stale"
        release_connection()
        time.sleep(_POLL_SECONDS)
        account.refresh_from_db()
    return "stale" if outcome == "failed" else "fresh"


def _can_be_asked(account: ProviderAccount) -> bool:
    """Whether a sync has anything to ask; without that, each list would begin a thread for nothing."""
    try:
        return can_adopt(account, driver_for(account))
    except ProviderConfigurationError:
        return True  # the sync says what is wrong


def _begin_sync(account: ProviderAccount) -> Future[_Outcome]:
    """Run a sync in a thread of its own, so that a provider that hangs does not hold the request up.

    The account's lease admits one at a time: `elsewhere` says that it is somebody else's turn.
    """

    def run() -> _Outcome:
        try:
            report = sync_account(ProviderAccount.objects.get(pk=account.pk))
            return "elsewhere" if report is None else "done"
        except (ProviderError, ProviderConfigurationError) as exc:
            log.warning("sync_failed", account=account.name, error=str(exc))
        except Exception:  # the index can answer the list all the same
            log.exception("sync_failed_unexpectedly", account=account.name)
        return "failed"

    return aside("sync", run)
