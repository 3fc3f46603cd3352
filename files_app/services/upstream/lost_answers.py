"""Cleans up after crashes: uploads without a heartbeat, answers that were lost, objects half written."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.utils import timezone

from files_app.models import AuditEvent, FileCopy, IdempotencyRecord, ProviderAccount
from files_app.models.files import CopyState, File
from files_app.services.accounts.saving import driver_for, is_exclusive
from files_app.services.deletes import delivery as deletes
from files_app.services.index.transactions import database_time
from files_app.services.uploads.failure import give_up_upload
from files_app.services.upstream.in_flight import (
    has_name,
    has_size,
    is_not_older,
    may_be_any_of,
    unsettled_uploads,
)
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.object_store import ObjectStoreDriver
from providers.objects import Operation, RemoteFile

log = structlog.get_logger(__name__)

_SEARCH_PAGES = 50
_GIVE_UP_SEARCH_AFTER = timedelta(hours=24)
_SEARCH_INTERVAL = timedelta(minutes=5)


def sweep_uploads(limit: int = 200) -> int:
    """Fail uploads whose lease ran out and return how many; the quota is free again with the same commit."""
    swept = 0
    for pk in list(File.objects.stuck().values_list("pk", flat=True)[:limit]):
        swept += give_up_upload(pk)
    search_unconfirmed(limit)
    return swept


def search_unconfirmed(limit: int = 100) -> int:
    """Look for the files of lost answers at their providers, delete what is found, and return how many.

    An object store's key holds our own id, so that the match is certain. Elsewhere a file is deleted only
    on an upstream that one organization owns alone, and only when exactly one unexplained file there has
    come since the upload began, with the upload's name and size, and no upload in flight can explain it;
    anything else is left to an operator.
    """
    found = 0
    due = (
        FileCopy.objects.filter(state=CopyState.UNCONFIRMED, next_attempt_at__lte=timezone.now())
        .select_related("account", "file", "file__organization")
        .order_by("next_attempt_at")[:limit]
    )
    for copy in due:
        try:
            remote_id, is_settled = _search(copy)
        except (ProviderError, ProviderConfigurationError) as exc:
            remote_id, is_settled = None, False
            log.warning("search_failed", copy=copy.pk, account=copy.account.name, error=str(exc))
        except SoftTimeLimitExceeded:
            raise
        except Exception:  # one account's oddity must not keep the others waiting
            remote_id, is_settled = None, False
            log.exception("search_failed_unexpectedly", copy=copy.pk, account=copy.account.name)
        if remote_id is not None:
            _hand_to_deletes(copy, remote_id)
            found += 1
        else:
            _put_off(copy, is_settled=is_settled)
    return found


def _search(copy: FileCopy) -> tuple[str | None, bool]:
    """Return the remote id, and whether a search without a result is final."""
    driver = driver_for(copy.account)
    if isinstance(driver, ObjectStoreDriver):
        stored = driver.find_file(namespace=copy.file.organization.namespace, file_id=copy.file.file_id)
        return (stored.remote_id if stored else None), True
    if not copy.file.filename:  # it never passed its checks, so the provider never got its end
        return None, True
    if Operation.LIST not in driver.capabilities.operations or not is_exclusive(copy.account):
        return None, False
    candidates = [
        remote
        for remote in _listed(driver)
        if is_not_older(remote, copy) and has_name(remote, copy) and has_size(remote, copy)
    ]
    # Before the rows are read: an upload that settles between is known there.
    running = unsettled_uploads(copy.account, [CopyState.UPLOADING])
    if any(may_be_any_of(remote, running) for remote in candidates):
        return None, False  # stored, and not yet settled
    held = set(
        FileCopy.objects.filter(
            account__location_digest=copy.account.location_digest,
            remote_id__in=[remote.remote_id for remote in candidates],
        ).values_list("remote_id", flat=True)
    )
    unexplained = [remote for remote in candidates if remote.remote_id not in held]
    return (unexplained[0].remote_id, True) if len(unexplained) == 1 else (None, False)


def _listed(driver: Driver) -> list[RemoteFile]:
    files: list[RemoteFile] = []
    cursor: str | None = None
    for _ in range(_SEARCH_PAGES):
        page = driver.list_files(cursor=cursor)
        files.extend(page.files)
        if page.next_cursor is None or page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    return files


def _hand_to_deletes(copy: FileCopy, remote_id: str) -> None:
    FileCopy.objects.filter(pk=copy.pk, state=CopyState.UNCONFIRMED).update(
        state=CopyState.DELETING,
        remote_id=remote_id,
        attempts=0,
        next_attempt_at=database_time(plus_seconds=0),
        state_changed_at=timezone.now(),
    )
    deletes.send(copy.pk)


def _put_off(copy: FileCopy, *, is_settled: bool) -> None:
    """Search again later, as long as a slow provider may still bring the file to light."""
    now = timezone.now()
    over = is_settled or now - copy.created_at > _GIVE_UP_SEARCH_AFTER
    values: dict[str, object] = (
        {"state": CopyState.FAILED, "next_attempt_at": None, "state_changed_at": now}
        if over
        else {"next_attempt_at": now + _SEARCH_INTERVAL}
    )
    changed = FileCopy.objects.filter(pk=copy.pk, state=CopyState.UNCONFIRMED).update(**values)
    if changed and over and not is_settled:
        log.error("upload_never_found", copy=copy.pk, account=copy.account.name, filename=copy.file.filename)


def sweep_stores() -> int:
    """Remove half-written objects of every object-store account and return how many."""
    removed = 0
    protection = timedelta(seconds=settings.CLEANUP_PROTECTION_SECONDS)
    for account in ProviderAccount.objects.filter(is_enabled=True):
        try:
            driver = driver_for(account)
            if isinstance(driver, ObjectStoreDriver):
                removed += driver.sweep_stray(protection)
        except (ProviderError, ProviderConfigurationError) as exc:
            log.warning("sweep_failed", account=account.name, error=str(exc))
        except SoftTimeLimitExceeded:
            raise
        except Exception:  # one account's oddity must not keep the others waiting
            log.exception("sweep_failed_unexpectedly", account=account.name)
    return removed


def prune_records() -> int:
    """Remove what has served its time: old idempotency records and, after their retention, audit events."""
    now = timezone.now()
    kept = timedelta(seconds=settings.IDEMPOTENCY_TTL_SECONDS)
    removed, _ = IdempotencyRecord.objects.filter(created_at__lt=now - kept).delete()
    if settings.AUDIT_RETENTION_DAYS:
        removed += AuditEvent.objects.prune(now - timedelta(days=settings.AUDIT_RETENTION_DAYS))
    return removed
