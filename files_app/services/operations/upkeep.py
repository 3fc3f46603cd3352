"""Periodic work: what there is, who may do it now, and what is late. No provider is asked here.

Any number of workers look; of those that find something due, the one whose update moves its time on does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models import DueTime
from files_app.services.bulk.work import work_due
from files_app.services.deletes.expiry import expire_files
from files_app.services.deletes.purging import empty_trash
from files_app.services.index.metering.storage import settle_usage
from files_app.services.index.transactions import database_time
from files_app.services.index.usage import recount_in_turn
from files_app.services.operations import cleanup
from files_app.services.reading.line_index import index_due
from files_app.services.retention.enforcement import apply_rules
from files_app.services.retention.holds import extend_holds
from files_app.services.upstream.schedule import sync_due_accounts
from files_app.services.upstream.translation import translate_due
from files_app.services.webhooks.conditions import tell_conditions

log = structlog.get_logger(__name__)

#: What is done, by its name in the database. What is for providers is only offered to the lane of providers.
UPKEEP: Mapping[str, Callable[[], object]] = {
    "expire_files": expire_files,
    "apply_retention": apply_rules,
    "empty_trash": empty_trash,
    "extend_holds": extend_holds,
    "work_jobs": work_due,
    "sweep_uploads": cleanup.sweep_uploads,
    "sweep_stores": cleanup.sweep_stores,
    "sync_accounts": sync_due_accounts,
    "tell_conditions": tell_conditions,
    "translate_results": translate_due,
    "index_lines": index_due,
    "recount_usage": recount_in_turn,
    "settle_usage": settle_usage,
    "prune_records": cleanup.prune_records,
}
#: Later than this after its time, or still not done so long after its beginning, somebody has to look.
LATE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Late:
    """Work that was due at `since` and is not done. has_begun: somebody claimed it and has not said more."""

    name: str
    since: datetime
    has_begun: bool = False


def schedule() -> None:
    """Write down what is not in the database yet, as due now, and forget what is not done any more."""
    new = UPKEEP.keys() - set(DueTime.objects.values_list("name", flat=True))
    DueTime.objects.bulk_create(
        [DueTime(name=name, due_at=Now()) for name in sorted(new)], ignore_conflicts=True
    )
    DueTime.objects.exclude(name__in=UPKEEP).delete()


def due() -> list[str]:
    """Return the names of the work whose time has come, by the database's clock."""
    is_due = ExpressionWrapper(Q(due_at__lte=Now()), output_field=BooleanField())
    rows = DueTime.objects.filter(name__in=UPKEEP).annotate(is_due=is_due).order_by("due_at")
    found = dict(rows.values_list("name", "is_due"))
    if len(found) < len(UPKEEP):
        schedule()
    return [name for name, has_come in found.items() if has_come]


def claim(name: str) -> bool:
    """Take the due time that has come for this process alone; False when another was faster."""
    return bool(
        DueTime.objects.filter(name=name, due_at__lte=Now()).update(
            due_at=database_time(plus_seconds=settings.UPKEEP_SECONDS[name]), begun_at=Now()
        )
    )


def carry_out(name: str) -> bool:
    """Do the work if its time has come and nobody else does it; return whether it was done."""
    if not claim(name):
        return False
    UPKEEP[name]()
    log.debug("upkeep_done", work=name)
    DueTime.objects.filter(name=name).update(done_at=Now())
    return True


def late() -> list[Late]:
    """Return what is late, the longest first: measured from when it was due, or from when it was begun."""
    now = timezone.now()
    found = [_lateness(row, now) for row in DueTime.objects.filter(name__in=UPKEEP)]
    return sorted((each for each in found if each), key=lambda each: each.since)


def _lateness(row: DueTime, now: datetime) -> Late | None:
    if now - row.due_at > LATE_AFTER:
        return Late(row.name, row.due_at)
    is_open = row.begun_at is not None and (row.done_at is None or row.done_at < row.begun_at)
    if is_open and row.begun_at is not None and now - row.begun_at > LATE_AFTER:
        return Late(row.name, row.begun_at, has_begun=True)
    return None
