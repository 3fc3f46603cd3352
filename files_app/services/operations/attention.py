"""What somebody has to look at, for what they may see: every question is bounded, none is kept for long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.core.cache import cache
from django.db.models import F, FloatField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from files_app.models import (
    CopyState,
    FailureKind,
    File,
    FileCopy,
    FileJob,
    FileState,
    JobKind,
    OpenBreaker,
    Organization,
    ProviderAccount,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.accounts.disk_segments import without_segment
from files_app.services.operations import heartbeats, lateness
from files_app.services.operations.findings import shortened
from files_app.services.operations.overview import CRITICAL_PERCENT, WARNING_PERCENT, usage_of
from files_app.services.tenants.staff import Reach
from files_app.words import age, short_bytes

MOST = 20
_COUNTED = 1_000
#: Credentials that were refused within this time count as refused, unless something says otherwise.
_REFUSED_LATELY = timedelta(days=1)
_SECRETS_SECONDS = 60


class Trouble(StrEnum):
    """What is wrong; in this order they are shown, within a level."""

    SECRETS = "secrets"
    SILENT = "silent"
    CREDENTIALS = "credentials"
    LATE = "late"
    SYNC = "sync"
    QUOTA = "quota"
    DEAD = "dead"
    JOB = "job"
    WEBHOOK_DEAD = "webhook_dead"
    WEBHOOK_GONE = "webhook_gone"
    WEBHOOK_LATE = "webhook_late"
    SHARED = "shared"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at.

    subject: what it is about. detail: what is wrong there. waiting: deletes that wait at the account, or
    deliveries of the webhook that are meant; they are counted to a thousand and one.
    """

    trouble: Trouble
    is_critical: bool
    subject: str
    detail: str
    account: ProviderAccount | None = None
    organization_pk: int | None = None
    webhook_pk: int | None = None
    job_pk: int | None = None
    waiting: int = 0


def attention(reach: Reach) -> list[Item]:
    """Return what needs attention, the worst first."""
    items = [
        *_secrets(reach),
        *_silent(reach),
        *_of_accounts(reach),
        *_late_deletes(reach),
        *_full_organizations(reach),
        *_dead(reach),
        *_stuck_jobs(reach),
        *_webhooks(reach),
        *_shared(reach),
        *_unconfirmed(reach),
    ]
    order = list(Trouble)
    return sorted(items, key=lambda item: (not item.is_critical, order.index(item.trouble)))


def _of_accounts(reach: Reach) -> Iterator[Item]:
    """Yield one item an account, however many of its syncs and uploads say the same."""
    told: set[int] = set()
    for item in [*_refused_credentials(reach), *_failing_syncs(reach), *_late_syncs(reach)]:
        if item.account is not None and item.account.pk not in told:
            told.add(item.account.pk)
            yield item


def _accounts(reach: Reach) -> QuerySet[ProviderAccount]:
    """Return the accounts whose page is in sight."""
    return reach.limit(ProviderAccount.objects.select_related("organization").defer("credentials"))


def _secrets(reach: Reach) -> Iterator[Item]:
    if not reach.sees_all:
        return
    lacking: list[tuple[str, str]] | None = cache.get("attention:secrets")
    if lacking is None:
        lacking = [(lack.process, shortened(lack.references)) for lack in heartbeats.lacks()]
        cache.set("attention:secrets", lacking, _SECRETS_SECONDS)
    for process, references in lacking[:MOST]:
        detail = f"cannot read {references}. Give it the variable or file, and restart it."
        yield Item(Trouble.SECRETS, True, process, detail)


def _silent(reach: Reach) -> Iterator[Item]:
    current = OpenBreaker.objects.current().filter(account__in=_accounts(reach).values("pk"))
    rows = current.select_related("account__organization").order_by("opened_at")
    by_account: dict[int, list[OpenBreaker]] = {}
    for row in rows:
        by_account.setdefault(row.account_id, []).append(row)
    waiting = _waiting(reach, list(by_account))
    for pk, breakers in list(by_account.items())[:MOST]:
        first, account = breakers[0], breakers[0].account
        kinds = ", ".join(dict.fromkeys(breaker.get_kind_display().lower() for breaker in breakers))
        detail = f"does not answer ({kinds}) since {age(first.opened_at)}: {first.error}"
        yield Item(Trouble.SILENT, True, account.full_name, detail, account, waiting=waiting[pk])


def _waiting(reach: Reach, accounts: list[int]) -> Counter[int]:
    """Count the deletes that wait at these accounts, each to a thousand and one."""
    states = [CopyState.DELETING, CopyState.DEAD, CopyState.UNCONFIRMED]
    held = reach.limit(FileCopy.objects.filter(state__in=states), "file__organization").order_by()
    return Counter(
        {pk: held.filter(account=pk).values("pk")[: _COUNTED + 1].count() for pk in accounts[:MOST]}
    )


def _refused_credentials(reach: Reach) -> Iterator[Item]:
    """Yield accounts whose provider refused an upload's credentials lately, and nothing says it takes them.

    That is: new credentials, or an upload since that it took.
    """
    since = timezone.now() - _REFUSED_LATELY
    failed = File.objects.filter(state=FileState.FAILED, indexed_at__gt=since).newest_first()
    last: dict[int, datetime] = {}
    for pk, kind, moment in failed.values_list("account", "failure_kind", "state_changed_at")[:_COUNTED]:
        if kind == FailureKind.CREDENTIALS:
            last.setdefault(pk, moment)
    if not last:
        return
    taken = File.objects.filter(state=FileState.AVAILABLE, indexed_at__gt=min(last.values())).newest_first()
    served: dict[int, datetime] = {}
    for pk, moment in taken.values_list("account", "indexed_at")[:_COUNTED]:
        served.setdefault(pk, moment)
    for account in _accounts(reach).filter(pk__in=last, is_enabled=True)[:MOST]:
        mended = max(filter(None, [account.credentials_changed_at, served.get(account.pk)]), default=None)
        if mended is None or mended < last[account.pk]:
            detail = f"refused the credentials of an upload {age(last[account.pk])}"
            yield Item(Trouble.CREDENTIALS, True, account.full_name, detail, account)


def _failing_syncs(reach: Reach) -> Iterator[Item]:
    failing = _accounts(reach).filter(is_enabled=True).exclude(last_sync_error="")
    for account in failing.order_by("pk")[:MOST]:
        detail = (
            f"the sync fails, the last good one was {age(account.last_synced_at)}: {account.last_sync_error}"
        )
        yield Item(Trouble.SYNC, False, account.full_name, detail, account)


def _late_syncs(reach: Reach) -> Iterator[Item]:
    late = {each.account_pk: each for each in lateness.late_syncs()}
    for account in _accounts(reach).filter(pk__in=late).order_by("pk")[:MOST]:
        detail = f"the sync that was due {age(late[account.pk].since)} is not done"
        yield Item(Trouble.SYNC, False, account.full_name, detail, account)


def _late_deletes(reach: Reach) -> Iterator[Item]:
    """Yield accounts where nobody delivers what is due: that is about the worker, so not for tenants."""
    for late in lateness.late_deletes()[:MOST] if reach.sees_all else ():
        account = ProviderAccount.objects.defer("credentials").get(pk=late.account_pk)
        detail = (
            f"{late.count:,} deletions are late, the oldest was due {age(late.since)}: see that a worker runs"
        )
        yield Item(Trouble.LATE, True, late.account, detail, account, waiting=late.count)


def _full_organizations(reach: Reach) -> Iterator[Item]:
    bytes_share = 100.0 * Cast(F("used_bytes") + F("reserved_bytes"), FloatField())
    files_share = 100.0 * Cast("file_count", FloatField())
    active = reach.organizations().filter(is_active=True)
    # As fractions: a limit may be so high that no integer holds eighty times as much.
    limit = {name: Cast(name, FloatField()) * float(WARNING_PERCENT) for name in ("quota_bytes", "max_files")}
    full = active.annotate(bytes_share=bytes_share, files_share=files_share).filter(
        Q(quota_bytes__gt=0, bytes_share__gte=limit["quota_bytes"])
        | Q(max_files__gt=0, files_share__gte=limit["max_files"])
    )
    for row in full.order_by("-bytes_share", "name")[:MOST]:
        percent, detail = _fullness(row)
        is_critical = percent >= CRITICAL_PERCENT
        yield Item(Trouble.QUOTA, is_critical, row.name, detail, organization_pk=row.pk)


def _fullness(row: Organization) -> tuple[float, str]:
    """Return the larger of an organization's two shares in percent, and what it is of."""
    use = usage_of(row)
    of_files = 100 * row.file_count / row.max_files if row.max_files else 0.0
    if of_files > use.percent:
        return of_files, f"has {row.file_count:,} of {row.max_files:,} files ({of_files:.0f} %)"
    taken = max(0, row.used_bytes + row.reserved_bytes)
    quota = short_bytes(row.quota_bytes)
    return use.percent, f"uses {short_bytes(taken)} of {quota} ({use.percent:.0f} %)"


def _dead(reach: Reach) -> Iterator[Item]:
    dead = reach.limit(FileCopy.objects.filter(state=CopyState.DEAD), "file__organization").order_by()
    counts = Counter(dead.values_list("account", flat=True)[: _COUNTED + 1])
    accounts = ProviderAccount.objects.select_related("organization").defer("credentials")
    for account in accounts.filter(pk__in=counts).order_by("pk")[:MOST]:
        number = counts[account.pk]
        detail = f"{_counted(number, 'deletion')} exhausted: nobody tries again by itself"
        yield Item(Trouble.DEAD, True, account.full_name, detail, account, waiting=number)


def _stuck_jobs(reach: Reach) -> Iterator[Item]:
    """Yield jobs on many files that nobody goes on with."""
    for job in FileJob.objects.stuck().within(reach.organization_ids).order_by("pk")[:MOST]:
        moved = age(job.progressed_at or job.created_at)
        detail = f"has not moved since {moved}, {job.waiting_files:,} of {job.files:,} files wait"
        title = f"{JobKind(job.kind).label.capitalize()} of {job.described}"
        yield Item(Trouble.JOB, True, title, f"{detail}: see that a worker runs", job_pk=job.pk)


def _webhooks(reach: Reach) -> Iterator[Item]:
    """Yield endpoints that were not told what happened, or do not want to be."""
    rows = WebhookDelivery.objects
    dead, late = _by_endpoint(reach, rows.given_up()), _by_endpoint(reach, rows.late())
    endpoints = reach.limit(WebhookEndpoint.objects.select_related("organization").defer("secrets"))
    gone = reach.limit(WebhookEndpoint.objects.gone().select_related("organization").defer("secrets"))
    for row in endpoints.filter(pk__in=dead).order_by("pk")[:MOST]:
        detail = f"{_counted(dead[row.pk], 'event')} given up after a day: nobody tries again by itself"
        yield Item(Trouble.WEBHOOK_DEAD, True, row.full_name, detail, webhook_pk=row.pk, waiting=dead[row.pk])
    for row in gone.order_by("pk")[:MOST]:
        detail = f"was switched off by the gateway: {row.disabled_reason}"
        yield Item(Trouble.WEBHOOK_GONE, False, row.full_name, detail, webhook_pk=row.pk)
    for row in endpoints.filter(pk__in=late).order_by("pk")[:MOST]:
        waiting = _counted(late[row.pk], "event")
        detail = f"{waiting} tried for more than an hour; the last answer is in the log"
        yield Item(
            Trouble.WEBHOOK_LATE, False, row.full_name, detail, webhook_pk=row.pk, waiting=late[row.pk]
        )


def _by_endpoint(reach: Reach, rows: QuerySet[WebhookDelivery]) -> Counter[int]:
    """Count rows by endpoint, each to a thousand and one: those of one do not hide another's."""
    mine = reach.limit(rows, "endpoint__organization").order_by()
    endpoints = mine.values_list("endpoint", flat=True).distinct()[:MOST]
    return Counter({pk: mine.filter(endpoint=pk).values("pk")[: _COUNTED + 1].count() for pk in endpoints})


def _counted(number: int, what: str) -> str:
    shown = f"more than {_COUNTED:,}" if number > _COUNTED else f"{number:,}"
    return f"{shown} {what}{'s' if number != 1 else ''}"


def _shared(reach: Reach) -> Iterator[Item]:
    marked = _accounts(reach).filter(shared_since__isnull=False)
    for account in marked.exclude(pk__in=without_segment().values("pk")).order_by("pk")[:MOST]:
        withheld = account.files.filter(is_withheld=True).values("pk")[: _COUNTED + 1].count()
        number = f"more than {_COUNTED:,}" if withheld > _COUNTED else f"{withheld:,}"
        detail = f"{account.get_shared_reason_display()}; {number} adopted files are withheld"
        yield Item(Trouble.SHARED, False, account.full_name, detail, account)


def _unconfirmed(reach: Reach) -> Iterator[Item]:
    rows = reach.limit(FileCopy.objects.filter(state=CopyState.UNCONFIRMED), "file__organization")
    number = rows.order_by().values("pk")[: _COUNTED + 1].count()
    if number:
        shown = f"more than {_COUNTED:,}" if number > _COUNTED else f"{number:,}"
        detail = f"{shown} may have left bytes at a provider; they are searched for by themselves for a day"
        yield Item(Trouble.UNCONFIRMED, False, "Uploads without an answer", detail, waiting=number)
