"""Tombstones that nothing needs any more: deleted files, with their copies, in small transactions."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from files_app.models import File, FileCopy, FileState
from files_app.services.index.metering.history import midnight
from files_app.services.index.metering.storage import first_open_day

_BATCH = 500
_LONGEST_SECONDS = 60.0


def prune_tombstones() -> int:
    """Remove deleted files after TOMBSTONE_RETENTION_DAYS and return how many.

    Each of their copies has to be deleted as long, the provider has to have confirmed it, and one of its
    complete lists to have lacked it since: what it could still show would be adopted as somebody's new file.
    And the usage of its last day has to be computed.
    Stops after a minute: the next run goes on.
    """
    ends = time.monotonic() + _LONGEST_SECONDS
    pruned = 0
    while time.monotonic() < ends:
        removed = _prune_batch()
        if not removed:
            break
        pruned += removed
    return pruned


def _prune_batch() -> int:
    kept_since = timezone.now() - timedelta(days=settings.TOMBSTONE_RETENTION_DAYS)
    before = min(kept_since, midnight(first_open_day()))
    over = FileCopy.objects.over(before)
    others = FileCopy.objects.filter(file=OuterRef("file")).exclude(pk__in=over.values("pk"))
    ready = over.filter(
        ~Exists(others), file__state=FileState.DELETED, file__state_changed_at__lt=before
    ).order_by("state_changed_at", "pk")
    pks = list(ready.values_list("file", flat=True)[:_BATCH])
    with transaction.atomic():
        _, removed = File.objects.filter(pk__in=pks, state=FileState.DELETED).delete()
    return removed.get(File._meta.label, 0)
