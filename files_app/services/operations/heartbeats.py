"""Signs of life of the running processes, and what they can read, kept where every host sees them."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from files_app.models import Heartbeat, OpenBreaker
from files_app.services.accounts import breaker_records
from files_app.services.accounts.breakers import open_breakers
from files_app.services.accounts.references import is_among, references_in_use, unreadable, variables

WORKER = "worker"
WEB = "web"
_RESOLUTION = timedelta(seconds=15)
#: Older than this, the process counts as gone. The worker beats about every half minute.
SILENT_AFTER = timedelta(minutes=2)
#: A worker comes up behind the web server; until so long after that one began, nobody misses it.
_STARTING_FOR = timedelta(minutes=1)
_STARTED_AT = timezone.now()
#: Hosts come and go; so long after the last beat nobody asks for one any more.
_FORGOTTEN_AFTER = timedelta(days=1)
LACK_FIX = (
    "Give that process the file, or the variable (in its environment, or in .env beside manage.py), and "
    "restart it: references are read there, and what this shell has does not count."
)


@dataclass(frozen=True, slots=True)
class Lack:
    """References that a running process cannot resolve. process: `web@host` or `worker@host`."""

    process: str
    references: list[str]

    def __str__(self) -> str:
        return f"{self.process} cannot read {', '.join(self.references)}. {LACK_FIX}"


def beat(kind: str = WORKER) -> None:
    """Write down that a process of this host is alive and what it can read, at most every 15 seconds.

    Each process tells of its own open breakers. Never a value: names of credentials that it lacks, and
    digests of the names of its variables.
    """
    breaker_records.tell_again(open_breakers())
    name, now = f"{kind}@{socket.gethostname()[:64]}", timezone.now()
    if Heartbeat.objects.filter(name=name, seen_at__gt=now - _RESOLUTION).exists():
        return
    report = {
        "seen_at": now,
        "started_at": _STARTED_AT,
        "unreadable": unreadable(references_in_use()),
        "variables": variables(),
    }
    Heartbeat.objects.update_or_create(name=name, defaults=report)


def last_seen(kind: str = WORKER) -> datetime | None:
    """Return when a process of the kind was last alive on any host; None when none ever was."""
    # A worker of an earlier version beats without its host.
    found = Heartbeat.objects.filter(Q(name=kind) | Q(name__startswith=f"{kind}@"))
    return found.order_by("-seen_at").values_list("seen_at", flat=True).first()


def is_alive(seen_at: datetime | None) -> bool:
    """Whether a process that was seen then still runs."""
    return seen_at is not None and timezone.now() - seen_at < SILENT_AFTER


def is_starting() -> bool:
    """Whether a web server began a moment ago, so that a worker may still be on its way."""
    began = timezone.now() - _STARTING_FOR
    return Heartbeat.objects.filter(name__startswith=f"{WEB}@", started_at__gt=began).exists()


def lacks(accounts: Collection[str] | None = None) -> list[Lack]:
    """Return what running processes lack of the credentials of accounts, by default of all that are enabled.

    Known at once of a variable, even when the account is new; of a file with the process's next beat.
    """
    wanted = references_in_use(accounts)
    found = [Lack(row.name, _lacking(row, wanted)) for row in _reporting()] if wanted else []
    return [lack for lack in found if lack.references]


def forget_silent() -> None:
    """Remove the beats of hosts that are gone, and what their processes said of breakers."""
    OpenBreaker.objects.filter(seen_at__lt=timezone.now() - _FORGOTTEN_AFTER).delete()
    Heartbeat.objects.filter(seen_at__lt=timezone.now() - _FORGOTTEN_AFTER, name__contains="@").delete()


def _reporting() -> list[Heartbeat]:
    alive = Heartbeat.objects.filter(seen_at__gt=timezone.now() - SILENT_AFTER, name__contains="@")
    return list(alive.order_by("name"))


def _lacking(row: Heartbeat, wanted: Collection[str]) -> list[str]:
    return sorted(
        reference
        for reference in wanted
        if (
            not is_among(reference, row.variables)
            if reference.startswith("env:")
            else reference in row.unreadable
        )
    )
