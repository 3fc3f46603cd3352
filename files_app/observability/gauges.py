"""Gauges that are read from the database when `/metrics` is asked."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from files_app.models import (
    CopyState,
    DeliveryState,
    DueTime,
    File,
    FileCopy,
    FileJob,
    FileState,
    OpenBreaker,
    Organization,
    ProviderAccount,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.models.accounts import SHARED
from files_app.observability.metrics import GaugeSource
from files_app.observability.state_gauges import STATE_SOURCES

QUOTA_FIELDS = {
    "used_bytes": "Bytes of files that count against the quota.",
    "reserved_bytes": "Bytes reserved by uploads in progress.",
    "quota_bytes": "Bytes that may be used.",
    "file_count": "Files that count against the quota.",
}


def outbox_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Count deletes that a provider has not confirmed, and uploads in progress."""
    states = dict(
        FileCopy.objects.filter(state__in=[CopyState.DELETING, CopyState.DEAD, CopyState.UNCONFIRMED])
        .values_list("state")
        .annotate(Count("pk"))
    )
    for name, state, text in (
        ("pending_deletes", CopyState.DELETING, "Deletes that a provider has yet to carry out."),
        ("dead_deletes", CopyState.DEAD, "Deletes that were given up: an operator has to look."),
        ("unconfirmed_copies", CopyState.UNCONFIRMED, "Uploads whose provider's answer was lost."),
    ):
        yield GaugeMetricFamily(f"files_gateway_{name}", text, value=states.get(state, 0))
    uploading = File.objects.filter(state=FileState.UPLOADING).count()
    yield GaugeMetricFamily("files_gateway_uploads_in_progress", "Uploads in progress.", value=uploading)


def lag_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Report how late the background work is: how long ago what nobody has done yet was due."""
    now = timezone.now()
    text = "Seconds since the oldest delete that nobody works on was due."
    gauge = GaugeMetricFamily(
        "files_gateway_deletes_lag_seconds", text, labels=["provider"] if by_organization else []
    )
    due = FileCopy.objects.due().order_by()
    if by_organization:
        for name, since in due.values_list("account__name").annotate(Min("next_attempt_at")):
            gauge.add_metric([name], _seconds(now, since))
    else:
        gauge.add_metric([], _seconds(now, due.aggregate(since=Min("next_attempt_at"))["since"]))
    yield gauge
    text = "Seconds since periodic work was due, by its name; 0 for what is done in its time."
    upkeep = GaugeMetricFamily("files_gateway_upkeep_lag_seconds", text, labels=["work"])
    for name, due_at in DueTime.objects.values_list("name", "due_at"):
        upkeep.add_metric([name], _seconds(now, due_at))
    yield upkeep


def _seconds(now: datetime, since: datetime | None) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def sharing_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Count accounts whose files may be another organization's."""
    marked = ProviderAccount.objects.filter(shared_since__isnull=False).count()
    text = "Accounts that turned out to be shared: an operator has to look."
    yield GaugeMetricFamily("files_gateway_shared_accounts", text, value=marked)


def breaker_gauges(by_account: bool) -> Iterator[GaugeMetricFamily]:
    """Count the processes that ask a provider no more because it does not answer."""
    columns = [
        "account__driver",
        "kind",
        *(["account__organization__name", "account__name"] if by_account else []),
    ]
    labels = ["driver", "kind", *(["organization", "provider"] if by_account else [])]
    text = "Processes that ask a provider no more, but for a try now and then."
    gauge = GaugeMetricFamily("files_gateway_open_breakers", text, labels=labels)
    for *values, count in (
        OpenBreaker.objects.current().order_by().values_list(*columns).annotate(Count("pk"))
    ):
        gauge.add_metric([value or SHARED for value in values], count)
    yield gauge


def webhook_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Count events that do not arrive, and endpoints that the gateway switched off."""
    rows, endpoints = WebhookDelivery.objects, WebhookEndpoint.objects
    pending = rows.filter(state=DeliveryState.PENDING, endpoint__is_enabled=True)
    for name, found, owner, text in (
        ("pending_webhooks", pending, _OF_ENDPOINT, "Events that wait for an endpoint to take them."),
        ("late_webhooks", rows.late(), _OF_ENDPOINT, "Events that were tried for more than an hour."),
        ("dead_webhooks", rows.given_up(), _OF_ENDPOINT, "Events that were given up within the last week."),
        ("gone_webhook_endpoints", endpoints.gone(), "organization__name", "Endpoints that answered 410."),
    ):
        yield _counted(f"files_gateway_{name}", text, found, owner if by_organization else "")


_OF_ENDPOINT = "endpoint__organization__name"


def _counted(name: str, text: str, rows: QuerySet[Any], owner: str) -> GaugeMetricFamily:
    """Count rows by their organization, whose name is at `owner`; without it in one sum."""
    if not owner:
        return GaugeMetricFamily(name, text, value=rows.count())
    gauge = GaugeMetricFamily(name, text, labels=["organization"])
    for organization, count in rows.order_by().values_list(owner).annotate(Count("pk")):
        gauge.add_metric([organization], count)
    return gauge


def job_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Count jobs on many files that are not done."""
    for name, rows, text in (
        ("unfinished_jobs", FileJob.objects.unfinished(), "Jobs on many files that are not done."),
        ("stuck_jobs", FileJob.objects.stuck(), "Jobs on many files that nobody goes on with."),
    ):
        yield GaugeMetricFamily(f"files_gateway_{name}", text, value=rows.count())


def quota_gauges(by_organization: bool) -> Iterator[GaugeMetricFamily]:
    """Report what organizations use, each by its name or all in one sum."""
    labels = ["organization"] if by_organization else []
    for field, text in QUOTA_FIELDS.items():
        gauge = GaugeMetricFamily(f"files_gateway_{field}", text, labels=labels)
        if by_organization:
            for name, value in Organization.objects.values_list("name", field):
                gauge.add_metric([name], value)
        else:
            gauge.add_metric([], Organization.objects.aggregate(total=Coalesce(Sum(field), 0))["total"])
        yield gauge


GAUGE_SOURCES: tuple[GaugeSource, ...] = (
    outbox_gauges,
    lag_gauges,
    sharing_gauges,
    breaker_gauges,
    webhook_gauges,
    job_gauges,
    quota_gauges,
    *STATE_SOURCES,
)
