"""Works jobs off: file by file, in turns, each result in the transaction of what was done.

Whoever has a job's lease works on it. A process that dies loses nothing: what is done has its result, and the
next one goes on with what has none.
"""

from __future__ import annotations

import secrets
import time

import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from files_app.exceptions import FileNotFoundInIndexError, GatewayError
from files_app.models import File, FileJob, FileJobItem, ItemResult, JobStatus
from files_app.models.jobs import FileJobQuerySet
from files_app.services.accounts import lanes
from files_app.services.accounts.lanes import Work
from files_app.services.bulk.actions import ACTIONS, ASKING
from files_app.services.index import leases
from files_app.services.index.callers import Caller
from providers.exceptions import ProviderConfigurationError, ProviderError

log = structlog.get_logger(__name__)

_TURN_SECONDS = 10.0
_BATCH = 100
#: How long one file may take: above what the time limits of a provider's calls allow together.
_PATIENCE_SECONDS = 420


def work_due() -> int:
    """Offer every job that waits to the process's threads and return how many were taken."""
    return sum(work_soon(pk) for pk in list(FileJob.objects.free_to_take().values_list("pk", flat=True)))


def work_soon(job_pk: int) -> bool:
    """Let a thread of this process work on a job."""
    # Below zero, where no provider account is: a job is nobody's share of an account's threads.
    return lanes.offer(Work.JOBS, -job_pk, lambda: take_turn(job_pk))


def take_turn(job_pk: int) -> bool:
    """Work on a job for some seconds; return whether there is more to do, and nobody else does it."""
    job = _claim(job_pk)
    if job is None:
        return False
    with leases.holding(leases.JOB, job.pk, job.lease_token, patience_seconds=_PATIENCE_SECONDS) as lease:
        has_more = _work(job, lease)
    mine = FileJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
    mine.update(lease_token="", lease_expires_at=None)
    return has_more


def _claim(job_pk: int) -> FileJob | None:
    token = secrets.token_hex(16)
    taken = FileJob.objects.free_to_take().filter(pk=job_pk)
    if not taken.update(status=JobStatus.RUNNING, lease_token=token, lease_expires_at=leases.lease_end()):
        return None
    return FileJob.objects.filter(pk=job_pk, lease_token=token).first()


def _work(job: FileJob, lease: leases.Lease) -> bool:
    ends = time.monotonic() + _TURN_SECONDS
    while time.monotonic() < ends and not lanes.is_closing():
        if not _is_mine(job).exists():
            return False
        batch = list(job.items.filter(result=ItemResult.WAITING).order_by("pk")[:_BATCH])
        if not batch:
            _is_mine(job).update(status=JobStatus.DONE, finished_at=timezone.now())
            return False
        files = File.objects.select_related("account", "organization").in_bulk([i.file_pk for i in batch])
        for item in batch:
            if time.monotonic() > ends or lanes.is_closing():
                break
            if not _do(job, item, files.get(item.file_pk)):
                return False
            lease.progressed()
    return True


def _is_mine(job: FileJob) -> FileJobQuerySet:
    """Return the job's row as long as our lease holds and nobody has cancelled it."""
    return FileJob.objects.filter(pk=job.pk, lease_token=job.lease_token, status=JobStatus.RUNNING)


def _do(job: FileJob, item: FileJobItem, file: File | None) -> bool:
    """Do to one file what the job is for; False where the job was cancelled, or is another's now."""
    try:
        if file is None:
            raise FileNotFoundInIndexError(item.file_id)
        if job.kind in ASKING:
            detail = ACTIONS[job.kind](file, _caller(job, item), job.arguments)
            return _note(job, item, ItemResult.DONE, detail)
        with transaction.atomic():
            # First, so that of two processes the second waits, and then finds the file done.
            if not _note(job, item, ItemResult.DONE, ""):
                return False
            detail = ACTIONS[job.kind](file, _caller(job, item), job.arguments)
            FileJobItem.objects.filter(pk=item.pk).update(detail=detail[:200])
    except (GatewayError, ProviderError) as exc:
        return _note(job, item, ItemResult.REFUSED, exc.message)
    except ProviderConfigurationError as exc:
        return _note(job, item, ItemResult.REFUSED, str(exc))
    except (DatabaseError, InterfaceError):  # says nothing of the file: the job goes on when it is back
        raise
    except Exception as exc:  # one file's oddity must not keep the others waiting for ever
        log.exception("job_failed_unexpectedly", job=job.public_id, file=item.file_id)
        return _note(
            job, item, ItemResult.REFUSED, f"unexpected {type(exc).__name__}; the worker's log has more"
        )
    return True


@transaction.atomic
def _note(job: FileJob, item: FileJobItem, result: ItemResult, detail: str) -> bool:
    """Write down how it went for a file, and count it, if the job is still ours."""
    is_done = result == ItemResult.DONE
    counted = {"done_files": F("done_files") + 1, "done_bytes": F("done_bytes") + item.bytes}
    counts = counted if is_done else {"refused_files": F("refused_files") + 1}
    if not _is_mine(job).update(**counts, progressed_at=Now()):
        return False
    waiting = FileJobItem.objects.filter(pk=item.pk, result=ItemResult.WAITING)
    waiting.update(result=result, detail=detail[:200])
    return True


def _caller(job: FileJob, item: FileJobItem) -> Caller:
    return Caller(
        organization_id=item.organization_id,
        actor_type=job.actor_type,
        actor=job.actor,
        api_key_id=job.api_key_id,
        ip=job.ip,
        request_id=job.request_id,
    )
