"""The sweeper: cleans up after uploads that died, half-written objects, and records past their time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from files_app.models import IdempotencyRecord, LineIndex, ProviderAccount
from files_app.services.accounts import lanes
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.accounts.lanes import Work
from files_app.services.bulk.jobs import forget_jobs
from files_app.services.deletes.tombstones import prune_tombstones
from files_app.services.operations import heartbeats
from files_app.services.retention.enforcement import prune_audit
from files_app.services.tenants.counting.database import forget_ended
from files_app.services.tenants.sign_in import sessions
from files_app.services.uploads.failure import give_up_stuck
from files_app.services.upstream.lost_answers import search_soon
from files_app.services.webhooks.delivery import prune_deliveries

_BATCH = 200
#: So long after somebody has looked at a file's requests, where they are in it is known.
_INDEX_KEPT = timedelta(days=7)


def sweep_uploads() -> int:
    """Fail uploads whose lease ran out and return how many; then see to it that lost answers are searched."""
    swept = give_up_stuck(_BATCH)
    search_soon()
    return swept


def sweep_stores() -> int:
    """Offer the sweep of every account's store to the process's threads and return how many were taken."""
    enabled = list(ProviderAccount.objects.filter(is_enabled=True))
    return sum(lanes.offer(Work.SWEEP, account.pk, _sweeping(account)) for account in enabled)


def _sweeping(account: ProviderAccount) -> Callable[[], bool]:
    """Return what removes the half-written objects of an account's store; others have none."""

    def sweep() -> bool:
        with on_its_own("sweep", account):
            driver_for(account).sweep_stray(timedelta(seconds=settings.CLEANUP_PROTECTION_SECONDS))
        return False

    return sweep


def prune_records() -> int:
    """Remove what has served its time: old idempotency records, indexes of lines that nobody looks at,
    expired sessions, jobs of last month and, after their retention, audit events, tombstones and the log of
    webhooks.
    """
    now = timezone.now()
    kept = timedelta(seconds=settings.IDEMPOTENCY_TTL_SECONDS)
    heartbeats.forget_silent()
    LineIndex.objects.unused(now - _INDEX_KEPT).delete()
    forget_ended()
    forget_jobs()
    sessions.forget_ended()
    removed, _ = IdempotencyRecord.objects.filter(created_at__lt=now - kept).delete()
    removed += prune_audit(settings.AUDIT_RETENTION_DAYS)
    return removed + prune_tombstones() + prune_deliveries()
