"""What waits at providers longer than it should, account by account: measured from when it was due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone

from files_app.models import CopyState, FileCopy, ProviderAccount
from files_app.services.upstream.schedule import due_at

#: A delete that was due so long ago, and that nobody works on, is late.
LATE_DELETE = timedelta(minutes=5)
#: A sync reads whole lists, and has less of the threads than deletes have.
LATE_SYNC = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class LateAt:
    """What is late at one account. since: when the oldest of it was due."""

    account: str
    count: int
    since: datetime
    account_pk: int


def is_late() -> Q:
    """Return what picks the copies whose delete was due long ago and is in nobody's hands."""
    now = timezone.now()
    is_free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=now)
    return is_free & Q(state=CopyState.DELETING, next_attempt_at__lt=now - LATE_DELETE)


def late_deletes() -> list[LateAt]:
    """Return the deletes that are late by account, the longest first."""
    late = FileCopy.objects.filter(is_late()).order_by()
    rows = list(late.values_list("account").annotate(Count("pk"), Min("next_attempt_at")))
    names = _full_names([pk for pk, _, _ in rows])
    found = [LateAt(names[pk], count, since, pk) for pk, count, since in rows]
    return sorted(found, key=lambda each: each.since)


def late_syncs() -> list[LateAt]:
    """Return the accounts whose sync was due long ago, the longest first."""
    now = timezone.now()
    possible = timedelta(seconds=settings.SYNC_INTERVAL_SECONDS) + LATE_SYNC
    candidates = ProviderAccount.objects.filter(
        Q(last_synced_at__lt=now - possible) | Q(last_synced_at=None),
        is_enabled=True,
        organization__isnull=False,
        list_freshness_seconds__isnull=False,
    ).select_related("organization")
    due = [(account, due_at(account)) for account in candidates]
    found = [
        LateAt(account.full_name, 1, at, account.pk) for account, at in due if at and now - at > LATE_SYNC
    ]
    return sorted(found, key=lambda each: each.since)


def _full_names(pks: list[int]) -> dict[int, str]:
    accounts = ProviderAccount.objects.filter(pk__in=pks).select_related("organization")
    return {account.pk: account.full_name for account in accounts}
