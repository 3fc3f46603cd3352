"""The figures of the admin's overview, for what somebody may see. Computed at most once a minute."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TypeVar

from django.core.cache import cache
from django.db.models import Count, F, FloatField, Min, Q, QuerySet, Sum
from django.db.models.functions import Cast, NullIf, TruncDate
from django.utils import timezone

from files_app.models import (
    ApiKey,
    AuditAction,
    AuditEvent,
    CopyState,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
)
from files_app.services.index.metering.storage import held_by_account
from files_app.services.operations.lateness import is_late
from files_app.services.tenants.staff import Reach

T = TypeVar("T")

DAYS = 30
FAILURE_DAYS = 7
CACHE_SECONDS = 60
#: A day's events are committed within this time of its end, at the latest.
_DAY_SETTLES = timedelta(days=1)
#: Figures of millions of rows take seconds to make: they are kept so many times as long.
_LEAST_REST = 100
_SHOWN_ORGANIZATIONS = 8
_SHOWN_ACCOUNTS = 8
_SHOWN_FAILURES = 6
_SHOWN_SYNCS = 6
WARNING_PERCENT = 80
CRITICAL_PERCENT = 95


@dataclass(frozen=True, slots=True)
class OrganizationUsage:
    """What one organization uses of its quota."""

    pk: int
    name: str
    used_bytes: int
    reserved_bytes: int
    quota_bytes: int
    file_count: int

    @property
    def percent(self) -> float:
        """Share of the quota that is taken, reservations included."""
        taken = max(0, self.used_bytes + self.reserved_bytes)
        return 100 * taken / self.quota_bytes if self.quota_bytes else 100.0

    @property
    def level(self) -> str:
        """`ok`, `warning` from 80 %, `critical` from 95 %."""
        return usage_level(self.percent)


@dataclass(frozen=True, slots=True)
class AccountShare:
    """What one of the accounts holds that hold most."""

    pk: int
    name: str
    driver: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day."""

    date: date
    uploads: int = 0
    downloads: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class AccountFailures:
    """Uploads that failed at one account, with the most frequent reason."""

    pk: int
    name: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Deletions:
    """The queue of deletes at providers. late: of those pending, how many were due long ago."""

    pending: int = 0
    late: int = 0
    dead: int = 0
    unconfirmed: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountSync:
    """How fresh the index of one account is."""

    pk: int
    name: str
    last_synced_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the page shows."""

    made_at: datetime
    organizations: list[OrganizationUsage]
    organization_count: int
    used_bytes: int
    quota_bytes: int
    file_count: int
    account_count: int
    key_count: int
    accounts: list[AccountShare]
    days: list[Day]
    failures: list[AccountFailures]
    deletions: Deletions
    syncs: list[AccountSync] = field(default_factory=list)


def usage_level(percent: float) -> str:
    """Return `ok`, `warning` or `critical`."""
    if percent >= CRITICAL_PERCENT:
        return "critical"
    return "warning" if percent >= WARNING_PERCENT else "ok"


def overview(reach: Reach) -> Overview:
    """Return the figures for what is in reach, at most a minute old."""
    return _kept(f"overview:{reach.cache_key}", lambda: _overview(reach))


def _kept(key: str, make: Callable[[], T]) -> T:
    kept: T | None = cache.get(key)
    if kept is None:
        began = time.monotonic()
        kept = make()
        took = time.monotonic() - began
        cache.set(key, kept, max(CACHE_SECONDS, _LEAST_REST * took))
    return kept


def _overview(reach: Reach) -> Overview:
    organizations = reach.organizations()
    totals = organizations.aggregate(
        count=Count("pk"), used=Sum("used_bytes"), quota=Sum("quota_bytes"), files=Sum("file_count")
    )
    return Overview(
        made_at=timezone.now(),
        organizations=fullest(organizations.filter(is_active=True)),
        organization_count=totals["count"],
        used_bytes=totals["used"] or 0,
        quota_bytes=totals["quota"] or 0,
        file_count=totals["files"] or 0,
        account_count=reach.usable_accounts().count(),
        key_count=reach.limit(ApiKey.objects.filter(revoked_at=None)).count(),
        accounts=_shares(reach),
        days=activity(reach),
        failures=_failures(reach),
        deletions=deletions(reach),
        syncs=_syncs(reach),
    )


def fullest(organizations: QuerySet[Organization]) -> list[OrganizationUsage]:
    """Return the organizations that are nearest to their quota."""
    taken = Cast(F("used_bytes") + F("reserved_bytes"), FloatField())
    share = taken / NullIf(Cast("quota_bytes", FloatField()), 0.0)
    rows = organizations.order_by(share.desc(nulls_first=True), "name")[:_SHOWN_ORGANIZATIONS]
    return [usage_of(row) for row in rows]


def usage_of(row: Organization) -> OrganizationUsage:
    """Return an organization's usage."""
    return OrganizationUsage(
        row.pk, row.name, row.used_bytes, row.reserved_bytes, row.quota_bytes, row.file_count
    )


def _named(reach: Reach, pks: Iterable[int]) -> dict[int, tuple[str, ProviderAccount]]:
    """Return some of the usable accounts, each with the name that tells it from all of them."""
    usable = reach.usable_accounts()
    accounts = list(usable.select_related("organization").filter(pk__in=list(pks)))
    alike = usable.filter(name__in={account.name for account in accounts}).order_by().values("name")
    several = set(alike.annotate(number=Count("pk")).filter(number__gt=1).values_list("name", flat=True))
    return {
        account.pk: (account.full_name if account.name in several else account.name, account)
        for account in accounts
    }


def _shares(reach: Reach) -> list[AccountShare]:
    held = held_by_account(reach.limit)
    named = _named(reach, sorted(held, key=lambda pk: (-held[pk][1], pk))[:_SHOWN_ACCOUNTS])
    shares = [AccountShare(pk, name, account.driver, *held[pk]) for pk, (name, account) in named.items()]
    return sorted(shares, key=lambda share: (-share.bytes, share.name))


def activity(reach: Reach, *, days: int = DAYS) -> list[Day]:
    """Return the uploads and downloads of each day (UTC), the last one today."""
    today = timezone.now().date()
    first = today - timedelta(days=days - 1)
    settled = today - _DAY_SETTLES
    key = f"activity:{reach.cache_key}:{first}:{settled}"
    past = cache.get_or_set(key, lambda: _events_by_day(reach, first, settled), _DAY_SETTLES.total_seconds())
    counts = (past or {}) | _events_by_day(reach, settled, today + timedelta(days=1))
    dates = [first + timedelta(days=number) for number in range(days)]
    return [Day(day, **counts.get(day, {})) for day in dates]


def _events_by_day(reach: Reach, first: date, end: date) -> dict[date, Counter[str]]:
    """Return how many uploads, downloads and failures there were on each day before `end`."""
    events = reach.limit(
        AuditEvent.objects.filter(
            action__in=[AuditAction.FILE_CREATE, AuditAction.FILE_CONTENT],
            created_at__gte=midnight(first),
            created_at__lt=midnight(end),
        )
    )
    rows = (
        events.order_by()
        .annotate(day=TruncDate("created_at", tzinfo=UTC))
        .values_list("day", "action", "result")
        .annotate(Count("pk"))
    )
    counts: dict[date, Counter[str]] = defaultdict(Counter)
    for day, action, result, count in rows:
        kind = "downloads" if action == AuditAction.FILE_CONTENT else "uploads"
        counts[day]["failures" if result != "ok" else kind] += count
    return dict(counts)


def midnight(day: date) -> datetime:
    """Return the first moment of a day (UTC)."""
    return datetime.combine(day, time_of_day.min, tzinfo=UTC)


def _failures(reach: Reach) -> list[AccountFailures]:
    since = timezone.now() - timedelta(days=FAILURE_DAYS)
    failed = reach.limit(File.objects.filter(state=FileState.FAILED, indexed_at__gte=since))
    totals: Counter[int] = Counter()
    reasons: dict[int, str] = {}
    rows = failed.order_by().values_list("account", "failure").annotate(number=Count("pk"))
    for pk, reason, count in rows.order_by("-number"):
        totals[pk] += count
        reasons.setdefault(pk, reason)
    most = totals.most_common(_SHOWN_FAILURES)
    named = _named(reach, [pk for pk, _ in most])
    return [AccountFailures(pk, named[pk][0], count, reasons[pk]) for pk, count in most if pk in named]


def deletions(reach: Reach) -> Deletions:
    """Return how many deletes wait at providers."""
    waiting = reach.limit(
        FileCopy.objects.filter(state__in=[CopyState.DELETING, CopyState.DEAD, CopyState.UNCONFIRMED]),
        "file__organization",
    )
    return Deletions(
        **waiting.aggregate(
            pending=Count("pk", filter=Q(state=CopyState.DELETING)),
            late=Count("pk", filter=is_late()),
            dead=Count("pk", filter=Q(state=CopyState.DEAD)),
            unconfirmed=Count("pk", filter=Q(state=CopyState.UNCONFIRMED)),
            oldest=Min("state_changed_at", filter=Q(state=CopyState.DELETING)),
        )
    )


def _syncs(reach: Reach) -> list[AccountSync]:
    """Return the accounts whose index follows their provider, the stalest first."""
    synced = reach.limit(ProviderAccount.objects.filter(is_enabled=True)).filter(
        organization__isnull=False, list_freshness_seconds__isnull=False
    )
    rows = synced.order_by(F("last_synced_at").asc(nulls_first=True))[:_SHOWN_SYNCS]
    named = _named(reach, [row.pk for row in rows])
    return [
        AccountSync(row.pk, named[row.pk][0], row.last_synced_at, row.last_sync_error)
        for row in rows
        if row.pk in named
    ]


@dataclass(frozen=True, slots=True)
class UsageDay:
    """How many bytes an organization held at the end of a day."""

    date: date
    used_bytes: int


def usage_history(organization: Organization, *, days: int = DAYS) -> list[UsageDay]:
    """Return what the organization held on each of the last days, worked back from what it holds now."""
    today = timezone.now().date()
    first, settled = today - timedelta(days=days - 1), today - _DAY_SETTLES
    key = f"usage:{organization.pk}:{first}:{settled}"
    past = cache.get_or_set(
        key, lambda: _bytes_come(organization, first, settled), _DAY_SETTLES.total_seconds()
    )
    come = Counter(past or {})
    come.update(_bytes_come(organization, settled, today + timedelta(days=1)))
    used, history = organization.used_bytes, []
    for number in range(days):
        day = today - timedelta(days=number)
        history.append(UsageDay(day, max(0, used)))
        used -= come[day]
    return history[::-1]


def _bytes_come(organization: Organization, first: date, end: date) -> Counter[date]:
    """Return how many bytes more came than went on each day before `end`."""
    counted = File.objects.for_organization(organization).filter(is_counted=True)
    came = _bytes_by_day(
        counted.exclude(state__in=[FileState.UPLOADING, FileState.FAILED]), "indexed_at", first, end
    )
    gone = Q(state__in=[FileState.DELETING, FileState.DELETED, FileState.LOST])
    in_trash = Q(state=FileState.TRASHED, is_counted_in_trash=False)
    came.subtract(_bytes_by_day(counted.filter(gone | in_trash), "state_changed_at", first, end))
    return came


def _bytes_by_day(files: QuerySet[File], moment: str, first: date, end: date) -> Counter[date]:
    within = {f"{moment}__gte": midnight(first), f"{moment}__lt": midnight(end)}
    recent = files.filter(**within).order_by()
    sums = recent.annotate(day=TruncDate(moment, tzinfo=UTC)).values_list("day").annotate(Sum("bytes"))
    return Counter(dict(sums))
