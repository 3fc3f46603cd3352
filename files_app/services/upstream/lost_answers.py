"""Searches for the files of uploads whose provider's answer was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.utils import timezone

from files_app.models import CopyState, FileCopy, ProviderAccount
from files_app.models.copies import FileCopyQuerySet
from files_app.services.accounts import lanes
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.accounts.lanes import Work
from files_app.services.accounts.places import is_exclusive, places_of_others
from files_app.services.accounts.sharing import weigh
from files_app.services.deletes import outbox
from files_app.services.index.transactions import database_time
from files_app.services.upstream.in_flight import (
    has_name,
    has_size,
    is_not_older,
    may_be_any_of,
    unsettled_uploads,
)
from files_app.services.upstream.pages import RemoteList
from providers.base import Driver
from providers.objects import Operation, RemoteFile

log = structlog.get_logger(__name__)

_GIVE_UP_SEARCH_AFTER = timedelta(hours=24)
_SEARCH_INTERVAL = timedelta(minutes=5)
#: So long one search goes on before the account's other work has its turn; the next one does the rest.
_TURN_SECONDS = 60.0


def search_soon() -> int:
    """Offer the searches that are due to the process's threads, an account at a time; return how many."""
    accounts = _due().order_by().values_list("account", flat=True).distinct()
    return sum(lanes.offer(Work.SEARCH, pk, _searching(pk)) for pk in list(accounts))


def _searching(account_pk: int) -> Callable[[], bool]:
    def search() -> bool:
        search_unconfirmed(account_pk=account_pk)
        return False

    return search


def search_unconfirmed(limit: int = 100, *, account_pk: int | None = None) -> int:
    """Look for the files of lost answers at their providers, delete what is found, and return how many.

    An object store's key holds our own id, so that the match is certain. Elsewhere a file is deleted only
    on an upstream that one organization owns alone, and only when exactly one unexplained file there has
    come since the upload began, with the upload's name and size, and no upload in flight can explain it;
    anything else is left to an operator. account_pk: search at this account alone.
    """
    found = 0
    ends = time.monotonic() + _TURN_SECONDS
    due = _due() if account_pk is None else _due().filter(account=account_pk)
    rows = due.select_related("account", "file", "file__organization").order_by("next_attempt_at")
    for copy in rows[:limit]:
        if lanes.is_closing() or time.monotonic() > ends:
            break
        found += _claim(copy) and _search_and_settle(copy)
    return found


def _due() -> FileCopyQuerySet:
    return FileCopy.objects.filter(state=CopyState.UNCONFIRMED, next_attempt_at__lte=timezone.now())


def _claim(copy: FileCopy) -> bool:
    """Take the turn to search: a worker that dies over it leaves it to the next interval."""
    later = timezone.now() + _SEARCH_INTERVAL
    return bool(_due().filter(pk=copy.pk).update(next_attempt_at=later))


def _search_and_settle(copy: FileCopy) -> bool:
    """Search once; return whether the file was found."""
    remote_id, is_settled = None, False
    with on_its_own("search", copy.account):
        remote_id, is_settled = _search(copy, driver_for(copy.account))
    if remote_id is None:
        _put_off(copy, is_settled=is_settled)
        return False
    _hand_to_deletes(copy, remote_id)
    return True


def _search(copy: FileCopy, driver: Driver) -> tuple[str | None, bool]:
    """Return the remote id, and whether a search without a result is final."""
    if driver.names_files:
        stored = driver.find_file(namespace=copy.file.organization.namespace, file_id=copy.file.file_id)
        return (stored.remote_id if stored else None), not copy.is_young
    if not copy.file.filename:  # it never passed its checks, so the provider never got its end
        return None, True
    if Operation.LIST not in driver.capabilities.operations or not _may_delete_at(copy.account):
        return None, False
    listed = RemoteList(driver)
    candidates = [remote for page in listed for remote in page if _may_be(remote, copy)]
    # Before the rows are read: an upload that settles between is known there.
    running = unsettled_uploads(copy.account, [CopyState.UPLOADING])
    if not listed.is_complete or any(may_be_any_of(remote, running) for remote in candidates):
        return None, False  # there may be another; or it is stored, and not yet settled
    if weigh(copy.account, driver, listed.seen):
        return None, False
    here = FileCopy.objects.at(copy.account, [remote.remote_id for remote in candidates])
    held = set(here.values_list("remote_id", flat=True))
    unexplained = [remote for remote in candidates if remote.remote_id not in held]
    return (unexplained[0].remote_id, True) if len(unexplained) == 1 else (None, False)


def _may_delete_at(account: ProviderAccount) -> bool:
    """Whether nobody else even claims to have files there: what is deleted cannot be brought back."""
    return is_exclusive(account) and not places_of_others(account).exists()


def _may_be(remote: RemoteFile, copy: FileCopy) -> bool:
    return is_not_older(remote, copy) and has_name(remote, copy) and has_size(remote, copy)


def _hand_to_deletes(copy: FileCopy, remote_id: str) -> None:
    FileCopy.objects.filter(pk=copy.pk).to(
        CopyState.DELETING,
        origin=CopyState.UNCONFIRMED,
        remote_id=remote_id,
        attempts=0,
        next_attempt_at=database_time(plus_seconds=0),
    )
    outbox.send(copy)


def _put_off(copy: FileCopy, *, is_settled: bool) -> None:
    """Search again later, as long as a slow provider may still bring the file to light."""
    row = FileCopy.objects.filter(pk=copy.pk, state=CopyState.UNCONFIRMED)
    if not is_settled and timezone.now() - copy.created_at <= _GIVE_UP_SEARCH_AFTER:
        row.update(next_attempt_at=timezone.now() + _SEARCH_INTERVAL)
    elif row.to(CopyState.FAILED, next_attempt_at=None) and not is_settled:
        log.error("upload_never_found", copy=copy.pk, account=copy.account.name, filename=copy.file.filename)
