"""Keeps the earlier times of files that come back, change their size, or leave the index, for their bills.

Each is called inside its caller's transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from files_app.models import File, FileState, StoredSpan
from files_app.models.files import FileQuerySet
from files_app.services.index.metering.history import STORED
from files_app.services.index.transactions import in_batches

_AT_ONCE = 500


def reopen(files: FileQuerySet, *, origin: FileState, **values: Any) -> int:
    """Make files of `origin` available again, as `to` does, whose bytes may not have counted meanwhile."""
    now = timezone.now()
    left = _close(files.filter(state=origin).exclude(STORED), now)
    anew = {"stored_from": now, "stored_until": None} if left else {}
    return files.to(FileState.AVAILABLE, origin=origin, **anew, **values)


def update(files: FileQuerySet, **values: Any) -> int:
    """Change what decides how files count, as their size does: what they were counts until now.

    None of them may be uploading.
    """
    now = timezone.now()
    _close(files, now)
    changed = files.filter(STORED).update(stored_from=now, stored_until=None, **values)
    return changed + files.exclude(STORED).update(stored_from=now, stored_until=now, **values)


def delete(files: FileQuerySet) -> int:
    """Take files out of the index, and return how many rows went; they have counted until now."""
    _close(files, timezone.now())
    return files.delete()[0]


def _close(files: QuerySet[File], now: datetime) -> int:
    """Write down when files counted, up to now, and return how many did; their rows are locked."""
    counting = files.exclude(state__in=[FileState.UPLOADING, FileState.FAILED]).filter(is_withheld=False)
    number = 0
    for rows in in_batches(counting.select_for_update(of=("self",)), _AT_ONCE):  # an account has any number
        number += len(StoredSpan.objects.bulk_create(_span(file, now) for file in rows))
    return number


def _span(file: File, now: datetime) -> StoredSpan:
    is_stored = file.state == FileState.AVAILABLE or (
        file.state == FileState.TRASHED and file.is_counted_in_trash
    )
    return StoredSpan(
        organization_id=file.organization_id,
        key_id=file.api_key_id or 0,
        account_id=file.account_id,
        purpose=file.purpose,
        bytes=file.bytes,
        is_counted=file.is_counted,
        began_at=file.stored_from or file.indexed_at,
        ended_at=now if is_stored else file.stored_until or file.state_changed_at,
    )
