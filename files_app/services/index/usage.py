"""Usage: what an organization holds, and the recount that mends drift."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, F, Max, Q, Sum
from django.utils import timezone

from files_app.models import AuditAction, File, FileState, Organization
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.metering import storage

log = structlog.get_logger(__name__)

#: At the next hourly run after it an organization has its turn again.
_EACH = timedelta(hours=23)
#: Of all organizations at most so small a part has its turn in one run: 24 runs a day leave some to catch up.
_SHARES = 20
_COUNTERS = ("used_bytes", "reserved_bytes", "file_count")


@dataclass(frozen=True, slots=True)
class Drift:
    """What a recount found: counters as they were, and as the rows say."""

    organization: str
    counted: dict[str, int]
    actual: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether the counters were right."""
        return self.counted == self.actual


def recount(organization: Organization, *, dry_run: bool = False, caller: Caller | None = None) -> Drift:
    """Compare the counters of an organization with its rows and mend them.

    caller: who asked for it, for the audit trail; None for the recount in its turn, which the log tells of.

    Locks the organization row first, so that no settle or delete can come between.
    """
    if (found := _unlocked(organization)).is_clean:
        if caller is not None and not dry_run:
            _record(found, organization.pk, caller)
        return found  # as nearly always: uploads and deletes did not have to wait
    with transaction.atomic():
        locked = Organization.objects.select_for_update().get(pk=organization.pk)
        if not dry_run:
            # Takes the row lock where the database has no SELECT FOR UPDATE.
            Organization.objects.filter(pk=locked.pk).update(name=locked.name)
            locked.refresh_from_db()
        counted = {
            "used_bytes": locked.used_bytes,
            "reserved_bytes": locked.reserved_bytes,
            "file_count": locked.file_count,
        }
        actual = actual_usage(locked)
        drift = Drift(locked.name, counted, actual)
        if not drift.is_clean:
            log.warning("usage_drift", organization=locked.name, counted=counted, actual=actual)
            if not dry_run:
                Organization.objects.filter(pk=locked.pk).update(**actual)
        if caller is not None and not dry_run:
            _record(drift, locked.pk, caller)
    return drift


def _record(drift: Drift, organization_id: int, caller: Caller) -> None:
    mended = {
        name: {"counted": drift.counted[name], "actual": actual}
        for name, actual in drift.actual.items()
        if drift.counted[name] != actual
    }
    audit.record(
        replace(caller, organization_id=organization_id),
        AuditAction.ORGANIZATION_RECOUNT,
        object_type="organization",
        object_id=drift.organization,
        mended=mended,
    )


def _unlocked(organization: Organization) -> Drift:
    """Compare by one statement, which sees counters and rows of one moment. Without rows nothing is clean."""
    beside = {f"counted_{name}": Max(f"organization__{name}") for name in _COUNTERS}
    actual = actual_usage(organization, **beside)
    counted = {name: actual.pop(f"counted_{name}") for name in _COUNTERS}
    return Drift(organization.name, counted, actual)


def actual_usage(organization: Organization, **beside: Any) -> dict[str, int]:
    """Return the counters as the rows say, and what else is asked of them in the same statement."""
    files = File.objects.for_organization(organization)
    in_trash = Q(state=FileState.TRASHED, is_counted_in_trash=True)
    held = (Q(state=FileState.AVAILABLE) | in_trash) & Q(is_counted=True)
    states = (FileState.AVAILABLE, FileState.TRASHED, FileState.UPLOADING)
    sums = files.filter(state__in=states).aggregate(
        used=Sum("bytes", filter=held),
        count=Count("pk", filter=held),
        reserved=Sum("reserved_bytes", filter=Q(state=FileState.UPLOADING)),
        **beside,
    )
    return {
        "used_bytes": sums["used"] or 0,
        "reserved_bytes": sums["reserved"] or 0,
        "file_count": sums["count"] or 0,
        **{name: sums[name] for name in beside},
    }


def recount_in_turn() -> int:
    """Recount the organizations that had no turn for a day, the longest first; return how many.

    A share of all at a time: also those of a new installation, and of one that was off, are spread over a
    day. What is kept for bills is compared too.
    """
    long_ago = timezone.now() - _EACH
    share = math.ceil(Organization.objects.count() / _SHARES)
    waiting = Organization.objects.filter(Q(recounted_at=None) | Q(recounted_at__lte=long_ago))
    chosen = list(waiting.order_by(F("recounted_at").asc(nulls_first=True), "pk")[:share])
    for organization in chosen:
        recount(organization)
        if not storage.mend(organization.pk):
            log.warning("storage_drift", organization=organization.name)
        Organization.objects.filter(pk=organization.pk).update(recounted_at=timezone.now())
    return len(chosen)


def recount_all(*, dry_run: bool = False, caller: Caller | None = None) -> list[Drift]:
    """Recount every organization and return those that had drifted."""
    drifts = [
        recount(organization, dry_run=dry_run, caller=caller) for organization in Organization.objects.all()
    ]
    return [drift for drift in drifts if not drift.is_clean]
