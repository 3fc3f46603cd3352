"""The sweeper: cleans up after uploads that died, half-written objects, and records past their time."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from files_app.models import AuditEvent, IdempotencyRecord, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.operations import heartbeats
from files_app.services.uploads.failure import give_up_stuck
from files_app.services.upstream.lost_answers import search_unconfirmed

_BATCH = 200


def sweep_uploads() -> int:
    """Fail uploads whose lease ran out and return how many; then search for what lost answers left."""
    swept = give_up_stuck(_BATCH)
    search_unconfirmed(_BATCH)
    return swept


def sweep_stores() -> int:
    """Remove half-written objects of every object-store account and return how many."""
    removed = 0
    protection = timedelta(seconds=settings.CLEANUP_PROTECTION_SECONDS)
    for account in ProviderAccount.objects.filter(is_enabled=True):
        with on_its_own("sweep", account):
            removed += driver_for(account).sweep_stray(protection)
    return removed


def prune_records() -> int:
    """Remove what has served its time: old idempotency records and, after their retention, audit events."""
    now = timezone.now()
    kept = timedelta(seconds=settings.IDEMPOTENCY_TTL_SECONDS)
    heartbeats.forget_silent()
    removed, _ = IdempotencyRecord.objects.filter(created_at__lt=now - kept).delete()
    if settings.AUDIT_RETENTION_DAYS:
        removed += AuditEvent.objects.prune(now - timedelta(days=settings.AUDIT_RETENTION_DAYS))
    return removed
