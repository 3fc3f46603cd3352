"""Sync: brings the index up to date with a provider's list."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import Q
from django.utils import timezone

from files_app.models import CopyState, File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import place_account
from files_app.services.index import events, leases
from files_app.services.index.transactions import database_time
from files_app.services.upstream.adoption import can_adopt, is_adoptable, owns_what_is_listed
from files_app.services.upstream.in_flight import unsettled_uploads
from files_app.services.upstream.lost import find_again, mark_missing, note_seen
from files_app.services.upstream.pages import RemoteList
from files_app.services.upstream.results import adopt_all, adopt_in_results_folders
from files_app.services.upstream.status import refresh_unfinished
from files_app.services.upstream.unlisted import note_unlisted
from providers.base import Driver
from providers.exceptions import (
    ProviderConfigurationError,
    ProviderError,
)
from providers.objects import RemoteFile

log = structlog.get_logger(__name__)
#: How long a sync may take before another one takes over: its list, and what follows from that.
_PATIENCE_SECONDS = 600
#: After so long a sync asks for nothing more: the next one goes on.
_LONGEST_SECONDS = 180.0
#: They wait in memory for the end of the list; the next sync takes the others.
_MAX_ADOPTIONS = 50_000


@dataclass(slots=True)
class SyncReport:
    """What a sync did. `is_complete`: the provider's list was read to its end."""

    seen: int = 0
    adopted: int = 0
    updated: int = 0
    lost: int = 0
    is_complete: bool = False


def sync_account(
    account: ProviderAccount, *, on_progress: Callable[[SyncReport], None] = lambda report: None
) -> SyncReport | None:
    """Reconcile the index with the provider's list; None while another sync of this account runs.

    Where other organizations may have files too, only the known ones are asked for that are not finished, and
    only results of batch jobs are taken in whose place says whose they are.
    on_progress: called after each page, with the report so far.
    Raises ProviderError and ProviderConfigurationError; the account then shows the error.
    """
    driver = driver_for(account)
    place_account(account, driver)  # what a credential refers to may have changed
    if not account.is_enabled:
        return SyncReport()
    token = _take_lease(account)
    if token is None:
        return None
    ends = time.monotonic() + _LONGEST_SECONDS
    error = "The sync was interrupted."
    began = timezone.now()
    try:
        with leases.holding(leases.SYNC, account.pk, token, patience_seconds=_PATIENCE_SECONDS):
            if can_adopt(account, driver):
                report = _reconcile(account, driver, began, ends, on_progress)
            else:
                adopted = adopt_in_results_folders(account, driver)
                report = SyncReport(adopted=adopted, is_complete=True)
                report.updated = refresh_unfinished(account, driver, ends=ends)
        error = ""
    except (ProviderError, ProviderConfigurationError) as exc:
        error = str(exc)[:500]
        raise
    finally:
        _end_lease(account, token, began, error)
    return report


def _take_lease(account: ProviderAccount) -> str | None:
    token = secrets.token_hex(16)
    free = Q(sync_lease_expires_at__isnull=True) | Q(sync_lease_expires_at__lt=database_time(plus_seconds=0))
    taken = ProviderAccount.objects.filter(free, pk=account.pk).update(
        sync_token=token, sync_lease_expires_at=leases.lease_end()
    )
    return token if taken else None


def _end_lease(account: ProviderAccount, token: str, began: datetime, error: str) -> None:
    values: dict[str, object] = {"sync_token": "", "sync_lease_expires_at": None, "last_sync_error": error}
    if not error:
        values["last_synced_at"] = began
    ProviderAccount.objects.filter(pk=account.pk, sync_token=token).update(**values)
    account.refresh_from_db()


def _reconcile(
    account: ProviderAccount,
    driver: Driver,
    began: datetime,
    ends: float,
    on_progress: Callable[[SyncReport], None],
) -> SyncReport:
    report = SyncReport()
    listed = RemoteList(driver)
    strangers: list[RemoteFile] = []
    for page in listed:
        report.seen += len(page)
        strangers += _merge(account, page, began, report)[: _MAX_ADOPTIONS - len(strangers)]
        on_progress(report)
    report.is_complete = listed.is_complete
    if owns_what_is_listed(account, driver, listed.seen):
        report.adopted = adopt_all(account, driver, strangers, ends=ends)
    if listed.is_complete:
        note_unlisted(account, listed.seen, began)
        report.lost = mark_missing(account, driver, listed.seen, began, ends=ends)
    return report


def _merge(
    account: ProviderAccount, page: list[RemoteFile], began: datetime, report: SyncReport
) -> list[RemoteFile]:
    """Update what the index has of a page, and return what may be adopted once the whole list was read."""
    held_here = FileCopy.objects.at(account, [remote.remote_id for remote in page])
    known = list(held_here.select_related("file"))
    note_seen([copy for copy in known if copy.account_id == account.pk])
    uploads = unsettled_uploads(account)
    by_id = {remote.remote_id: remote for remote in page}
    for copy in known:  # several, where one remote file stands for several of ours
        report.updated += copy.account_id == account.pk and _update(copy, by_id[copy.remote_id])
    known_ids = {copy.remote_id for copy in known}
    strangers = [remote for remote in page if remote.remote_id not in known_ids]
    return [remote for remote in strangers if is_adoptable(remote, began, uploads)]


def _update(copy: FileCopy, remote: RemoteFile) -> bool:
    """Take over what the provider may change: status and expiry; and find again what was lost."""
    file = copy.file
    if copy.state == CopyState.LOST:
        return find_again(copy)
    row = File.objects.filter(pk=file.pk)
    is_updated = file.status != remote.status and events.take_status(row, file, remote)
    if remote.expires_at is not None and file.expires_at != remote.expires_at and file.is_adopted:
        values = {"expires_at": remote.expires_at}
        if copy.account.is_at_provider:
            values["provider_expires_at"] = remote.expires_at
        is_updated = bool(row.update(**values)) or is_updated
    return is_updated
