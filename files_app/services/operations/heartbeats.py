"""Signs of life of the background processes, kept where every host can read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from files_app.models import Heartbeat

WORKER = "worker"
_RESOLUTION = timedelta(seconds=15)
#: Older than this, the process counts as gone. The worker beats about every half minute.
SILENT_AFTER = timedelta(minutes=2)


def beat(name: str = WORKER) -> None:
    """Write down that the process is alive, at most every quarter of a minute."""
    now = timezone.now()
    if Heartbeat.objects.filter(name=name, seen_at__gt=now - _RESOLUTION).exists():
        return
    Heartbeat.objects.update_or_create(name=name, defaults={"seen_at": now})


def last_seen(name: str = WORKER) -> datetime | None:
    """Return when the process was last alive; None when it never was."""
    return Heartbeat.objects.filter(name=name).values_list("seen_at", flat=True).first()


def is_alive(seen_at: datetime | None) -> bool:
    """Whether a process that was seen then still runs."""
    return seen_at is not None and timezone.now() - seen_at < SILENT_AFTER
