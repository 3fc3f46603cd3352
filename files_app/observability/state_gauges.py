"""Gauges of what runs, and on what: version, processes, beat, syncs, disks, places, full organizations."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from files_app.models import DueTime, Heartbeat, Organization, ProviderAccount

#: Older than this, a process counts as gone; it beats about every half minute.
SILENT_AFTER = timedelta(minutes=2)
PROCESS_KINDS = ("web", "worker")
#: An organization with so much of its quota taken, in percent, is nearly full.
NEARLY_FULL_PERCENT = 95


def build_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Tell which version answers."""
    facts = {"version": settings.VERSION, "python": platform.python_version(), "database": connection.vendor}
    gauge = GaugeMetricFamily("files_gateway_build_info", "Always 1; the labels tell.", labels=list(facts))
    gauge.add_metric(list(facts.values()), 1)
    yield gauge


def process_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Count the processes that give signs of life, on all hosts, and tell how old the last sign is."""
    now = timezone.now()
    text = "Web servers and workers of all hosts that were seen within two minutes."
    alive = GaugeMetricFamily("files_gateway_processes", text, labels=["kind"])
    text = "Seconds since the last sign of life of any process of this kind; none: there was never one."
    age = GaugeMetricFamily("files_gateway_heartbeat_age_seconds", text, labels=["kind"])
    for kind in PROCESS_KINDS:
        beats = Heartbeat.objects.filter(Q(name=kind) | Q(name__startswith=f"{kind}@"))
        seen = list(beats.values_list("seen_at", flat=True))
        alive.add_metric([kind], sum(now - each < SILENT_AFTER for each in seen))
        if seen:
            age.add_metric([kind], _seconds(now, max(seen)))
    yield alive
    yield age


def beat_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Tell how long ago the beat of any worker began periodic work; nothing before the first time."""
    text = "Seconds since the beat of any worker last began periodic work."
    gauge = GaugeMetricFamily("files_gateway_beat_age_seconds", text)
    if begun := DueTime.objects.aggregate(last=Max("begun_at"))["last"]:
        gauge.add_metric([], _seconds(timezone.now(), begun))
    yield gauge


def sync_gauges(by_account: bool) -> Iterator[GaugeMetricFamily]:
    """Tell of accounts that follow their provider how old their index is, and whether the last sync failed.

    Without names, the oldest of a driver and the number that fail.
    """
    now = timezone.now()
    labels = ["driver", *(["organization", "provider"] if by_account else [])]
    text = "Seconds since the account's last sync that worked, or since it was made."
    age = GaugeMetricFamily("files_gateway_sync_age_seconds", text, labels=labels)
    text = "Accounts whose last sync failed."
    failing = GaugeMetricFamily("files_gateway_failing_syncs", text, labels=labels)
    ages: dict[tuple[str, ...], float] = {}
    failures: dict[tuple[str, ...], int] = {}
    columns = ("driver", "organization__name", "name", "last_synced_at", "created_at", "last_sync_error")
    for driver, owner, name, synced, created, error in _followers().values_list(*columns):
        key: tuple[str, ...] = (driver, owner, name) if by_account else (driver,)
        ages[key] = max(ages.get(key, 0.0), _seconds(now, synced or created))
        failures[key] = failures.get(key, 0) + bool(error)
    for key, seconds in ages.items():
        age.add_metric(key, seconds)
        failing.add_metric(key, failures[key])
    yield age
    yield failing


def disk_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Tell how much room the folders of this host have; one that is away is left out."""
    free = GaugeMetricFamily("files_gateway_disk_free_bytes", "Room on the folder's disk.", labels=["folder"])
    size = GaugeMetricFamily("files_gateway_disk_size_bytes", "Size of the folder's disk.", labels=["folder"])
    for folder, path in (("data", settings.DATA_DIR), ("spool", settings.SPOOL_DIR)):
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            continue
        free.add_metric([folder], usage.free)
        size.add_metric([folder], usage.total)
    yield free
    yield size


def place_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Tell how many transfers this host takes at once; files_gateway_transfers tells how many there are."""
    most = settings.WEB_WORKERS * max(1, settings.WEB_THREADS * settings.TRANSFERS_SHARE // 100)
    text = "Transfers and questions to providers that this host takes at once."
    yield GaugeMetricFamily("files_gateway_transfer_places", text, value=most)


def fullness_gauges(with_names: bool) -> Iterator[GaugeMetricFamily]:
    """Count the active organizations that are nearly full: a sum over all would hide each of them."""
    nearly = F("quota_bytes") / 100 * NEARLY_FULL_PERCENT
    full = Organization.objects.filter(is_active=True).alias(taken=F("used_bytes") + F("reserved_bytes"))
    text = f"Organizations with {NEARLY_FULL_PERCENT} % or more of their quota taken."
    count = full.filter(taken__gte=nearly, quota_bytes__gt=0).count()
    yield GaugeMetricFamily("files_gateway_nearly_full_organizations", text, value=count)


def _followers() -> QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(
        is_enabled=True, organization__isnull=False, list_freshness_seconds__isnull=False
    )


def _seconds(now: datetime, since: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


STATE_SOURCES = (
    build_gauges,
    process_gauges,
    beat_gauges,
    sync_gauges,
    disk_gauges,
    place_gauges,
    fullness_gauges,
)
