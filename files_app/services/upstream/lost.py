"""Is this file lost? The one judge: who asks the provider, marks a file as lost, and takes it back.

Lists and reads lag behind uploads at some providers, and lists leave files out now and then. So a file is
lost only when it is older than LOST_AFTER_SECONDS, and was missed twice, a minute apart; each time by a
complete list, or by who was told to look, and by a retrieve.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from files_app.models import (
    CopyState,
    DeletedReason,
    EventKind,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
)
from files_app.models.copies import FileCopyQuerySet
from files_app.models.records import AuditAction
from files_app.services.index import audit, events
from files_app.services.index.callers import system_caller
from files_app.services.index.metering import spans
from providers.base import Driver
from providers.exceptions import InvalidResponseError, ProviderError, RemoteFileNotFoundError
from providers.objects import Operation, RemoteFile

log = structlog.get_logger(__name__)

MAX_CONFIRMATIONS = 100
_MANY_LOST = 10
_BETWEEN_MISSES = timedelta(seconds=60)


def ask_for(copy: FileCopy, driver: Driver) -> RemoteFile | None:
    """Return the provider's description of a copy; None when it has the file no more.

    Raises ProviderError when the provider says neither.
    """
    try:
        remote = driver.retrieve_file(copy.remote_id)
    except RemoteFileNotFoundError:
        return None
    note_seen([copy])
    return remote


def note_seen(copies: Collection[FileCopy]) -> None:
    """Write down that the provider has these copies: what was missed before does not count any more."""
    if missed := [copy.pk for copy in copies if copy.missing_since is not None]:
        FileCopy.objects.filter(pk__in=missed).update(missing_since=None)


def is_lost(copy: FileCopy, now: datetime) -> bool:
    """Whether a copy that was just missed, at `now`, has been missed before, and long enough ago."""
    return copy.missing_since is not None and now - copy.missing_since >= _BETWEEN_MISSES


def note_missed(copy: FileCopy, now: datetime) -> bool:
    """Write down that the provider lacks a copy that is old enough, and return whether it is lost now."""
    if is_lost(copy, now):
        return mark_lost(copy)
    FileCopy.objects.filter(pk=copy.pk, missing_since=None).update(missing_since=now)
    return False


def old_enough(account: ProviderAccount, now: datetime) -> FileCopyQuerySet:
    """Return the account's copies that may be called lost, if its provider lacks them at `now`."""
    before = now - timedelta(seconds=settings.LOST_AFTER_SECONDS)
    return FileCopy.objects.filter(
        account=account,
        state=CopyState.AVAILABLE,
        file__state=FileState.AVAILABLE,  # what is in the trash is never lost
        file__indexed_at__lt=before,
        state_changed_at__lt=before,
    )


def mark_missing(
    account: ProviderAccount,
    driver: Driver,
    seen: Collection[str],
    began: datetime,
    *,
    ends: float = math.inf,
) -> int:
    """Note the files that the provider lacks, and mark those as lost that it has lacked before.

    seen: remote ids of a list that was read to its end and begun at `began`. Returns how many are lost.
    ends: `time.monotonic()` after which no more is asked; the next sync asks for the rest.
    Raises InvalidResponseError when most of an account is missing: a wrong key or an unmounted disk looks
    like that, and much less often a provider that lost everything.
    """
    if Operation.RETRIEVE not in driver.capabilities.operations:
        return 0
    lost = 0
    for copy in _missing(account, driver, seen, began):
        if time.monotonic() > ends:
            break
        try:
            lost += ask_for(copy, driver) is None and note_missed(copy, began)
        except ProviderError as exc:
            log.info("lost_not_confirmed", copy=copy.pk, error=exc.message)
            break
    return lost


def _missing(
    account: ProviderAccount, driver: Driver, seen: Collection[str], began: datetime
) -> list[FileCopy]:
    """Return the copies that the list lacks, as many as one sync asks for."""
    held = old_enough(account, began)
    copies = held.select_related("file", "file__account").order_by("pk").iterator(chunk_size=1000)
    missing: list[FileCopy] = []
    held_count = missing_count = 0
    for copy in copies:
        held_count += 1
        if copy.remote_id not in seen:
            missing_count += 1
            missing += [copy] if missing_count <= MAX_CONFIRMATIONS else []
    if missing_count > _MANY_LOST and missing_count > held_count // 2:
        raise InvalidResponseError(
            f"{driver.label} lacks {missing_count} of {held_count} files of this account. None was marked as "
            "lost: check that its credentials and its store are the right ones.",
            provider=account.name,
            operation=Operation.LIST,
        )
    return missing


@transaction.atomic
def mark_lost(copy: FileCopy) -> bool:
    """Write down that the provider has the file no more, and free its quota; False if it was gone anyway."""
    file = copy.file
    changed = File.objects.filter(pk=file.pk).to(FileState.LOST, deleted_reason=DeletedReason.LOST)
    if changed:
        FileCopy.objects.filter(pk=copy.pk).to(CopyState.LOST)
        if file.is_counted:
            Organization.objects.free(file.organization_id, file.bytes)
        audit.record_file(system_caller(file.organization_id), AuditAction.FILE_LOST, file)
        events.file_event(EventKind.FILE_LOST, file)
    return bool(changed)


def find_again(copy: FileCopy) -> bool:
    """Take back a file that was lost and is at its provider again.

    Returns False if it was deleted meanwhile, or if another file has its id now.
    """
    try:
        return _find_again(copy)
    except IntegrityError:
        return False


@transaction.atomic
def _find_again(copy: FileCopy) -> bool:
    file = copy.file
    if not spans.reopen(File.objects.filter(pk=file.pk), origin=FileState.LOST, deleted_reason=""):
        return False
    FileCopy.objects.filter(pk=copy.pk, state=CopyState.LOST).to(CopyState.AVAILABLE, missing_since=None)
    if file.is_counted:
        Organization.objects.take_back(file.organization_id, file.bytes)
    audit.record_file(system_caller(file.organization_id), AuditAction.FILE_FOUND, file)
    events.file_created(file)
    return True
