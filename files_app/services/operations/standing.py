"""What `doctor` finds out about the background: who runs, and what of the work is late."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from files_app.models import FileJob
from files_app.services.operations import heartbeats, lateness, upkeep
from files_app.services.operations.findings import SHOWN_NAMES, Finding, ok, problem, warning
from files_app.words import age


def worker() -> Iterator[Finding]:
    """Say whether a worker was seen."""
    seen_at = heartbeats.last_seen()
    if heartbeats.is_alive(seen_at):
        yield ok("worker", f"a worker was seen {age(seen_at)}")
        return
    if heartbeats.is_starting():
        yield ok("worker", "is starting: the gateway has been up for less than a minute")
        return
    seen = f"last seen {age(seen_at)}" if seen_at else "not seen yet"
    yield problem(
        "worker",
        f"no worker runs ({seen}): deletes, expiry and clean-up wait",
        "Start one: `manage.py run` runs everything, `manage.py run worker` a worker alone.",
    )


def periodic_work() -> Iterator[Finding]:
    """Name the periodic work that nobody does in its time."""
    late = upkeep.late()
    for each in late:
        happened = "was begun" if each.has_begun else "was due"
        reason = "and is not done" if each.has_begun else "and nobody has begun it"
        yield problem(
            "upkeep",
            f"{each.name} {happened} {age(each.since)} {reason}",
            "See that a worker runs; if one does, its log says what hinders it, and a restart is safe.",
        )
    if not late:
        yield ok("upkeep", "all periodic work is done in its time")


def late_deletes() -> Iterator[Finding]:
    """Name the accounts whose deletes are late."""
    for each in lateness.late_deletes()[:SHOWN_NAMES]:
        yield problem(
            "deletions",
            f"{each.account}: {each.count} deletes are late, the oldest was due {age(each.since)}",
            "See that a worker runs; raise WORKER_CONCURRENCY or start another if it cannot follow; "
            "`manage.py deletions list` shows what the provider said last.",
        )


def late_syncs() -> Iterator[Finding]:
    """Name the accounts whose sync is late."""
    for each in lateness.late_syncs()[:SHOWN_NAMES]:
        yield warning(
            "sync",
            f"{each.account}: the sync that was due {age(each.since)} is not done",
            f"`manage.py accounts sync {each.account}` does it now, and says what hinders it.",
        )


def stuck_jobs() -> Iterator[Finding]:
    """Name the jobs on many files that nobody goes on with."""
    for job in FileJob.objects.stuck().order_by("pk")[:SHOWN_NAMES]:
        moved = age(job.progressed_at or job.created_at)
        yield problem(
            "jobs",
            f"{job.public_id} has not moved since {moved}: {job.waiting_files:,} of {job.files:,} files wait",
            "See that a worker runs; if one does, its log says what hinders it. "
            f"`manage.py files cancel {job.public_id}` leaves the rest as it is.",
        )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    worker,
    periodic_work,
    late_deletes,
    late_syncs,
    stuck_jobs,
)
