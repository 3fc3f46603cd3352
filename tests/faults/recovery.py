"""What time and worker do after a fault, one after the other and in one process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from files_app.models import File, FileCopy
from files_app.services.accounts import breakers
from files_app.services.deletes import delivery
from files_app.services.operations import cleanup


def let_time_pass() -> None:
    """Let every lease run out, every retry be due and every provider be tried, as after an hour."""
    breakers.forget_breakers()
    past = timezone.now() - timedelta(hours=1)
    File.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=past)
    FileCopy.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=past)
    FileCopy.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=past)
    hour = timedelta(hours=1)
    File.objects.update(indexed_at=F("indexed_at") - hour)
    FileCopy.objects.update(
        state_changed_at=F("state_changed_at") - hour, missing_since=F("missing_since") - hour
    )


def deliver_deletes() -> dict[str, int]:
    """Deliver what is due; return how many copies ended in which state."""
    ended: dict[str, int] = {}
    for pk in list(FileCopy.objects.due().values_list("pk", flat=True)):
        state = str(delivery.deliver(pk) or "not claimed")
        ended[state] = ended.get(state, 0) + 1
    return ended


def recover(deliver: Callable[[], object] = deliver_deletes) -> None:
    """Do what a worker does after a crash, when its leases have run out.

    deliver: how the deletes that are due get to their provider; by default without a broker.
    """
    for _ in range(2):  # what the search finds is delivered in the second round
        let_time_pass()
        cleanup.sweep_uploads()
        deliver()
