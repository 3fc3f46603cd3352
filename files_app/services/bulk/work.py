"""Works jobs off in turns: some files at a time, each result in the transaction of what was done.

Whoever has a job's lease works on it. A process that dies loses nothing: what is done has its result, and the
next one goes on with what has none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from files_app.exceptions import FileNotFoundInIndexError, GatewayError, InvalidRequestError
from files_app.models import File, FileJob, FileJobItem, ItemResult, JobStatus
from files_app.models.jobs import FileJobQuerySet
from files_app.services.accounts import lanes
from files_app.services.accounts.lanes import Work
from files_app.services.bulk.actions import ACTIONS, ASKING
from files_app.services.bulk.together import TOGETHER, Plan
from files_app.services.index import leases
from files_app.services.index.callers import Caller
from files_app.services.index.pace import Pace
from providers.exceptions import ProviderConfigurationError, ProviderError

log = structlog.get_logger(__name__)

_TURN_SECONDS = 10.0
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
    pace = Pace()
    while time.monotonic() < ends and not lanes.is_closing():
        if not _is_mine(job).exists():
            return False
        group = list(job.items.filter(result=ItemResult.WAITING).order_by("pk")[: pace.size])
        if not group:
            _is_mine(job).update(status=JobStatus.DONE, finished_at=timezone.now())
            return False
        with pace.group(len(group)):
            left = _do_together(job, group)
        lease.progressed()
        files = _files_of(left)
        for item in left:
            if time.monotonic() > ends or lanes.is_closing():
                break
            if not _do(job, item, files.get(item.file_pk)):
                return False
            lease.progressed()
        if len(left) < len(group):
            pace.rest()
    return True


def _files_of(items: Sequence[FileJobItem]) -> Mapping[int, File]:
    """Return the files that are still there, by primary key."""
    if not items:
        return {}
    files = File.objects.select_related("account__organization", "organization")
    return files.in_bulk([item.file_pk for item in items])


def _do_together(job: FileJob, group: Sequence[FileJobItem]) -> Sequence[FileJobItem]:
    """Do to a group of files what the job is for, in one transaction; return what has to be done one by one.

    That is the whole group where something is in the way, of which one file's own attempt then tells.
    """
    if job.kind not in TOGETHER:
        return group
    files = _files_of(group)
    plan = TOGETHER[job.kind].plan(job, list(files.values()))
    for item in group:
        if item.file_pk not in files:
            plan.refused[item.file_pk] = FileNotFoundInIndexError(item.file_id).message
    try:
        with transaction.atomic():
            noted = _done_together(job, group, plan)
    except _ChangedError:
        return group
    except Exception as exc:  # a deadlock, or one file's oddity: the others are done all the same
        log.warning("job_group_failed", job=job.public_id, files=len(group), error=type(exc).__name__)
        return group
    return [item for item in group if item.pk not in noted]


class _ChangedError(Exception):
    """Something of a group is not as it was read: its transaction is rolled back."""


def _done_together(job: FileJob, group: Sequence[FileJobItem], plan: Plan) -> set[int]:
    """Do the files that are ready, write down the results, and return of which items."""
    # First, so that of two processes the second waits, and then finds the files done.
    if not _is_mine(job).select_for_update().exists():
        raise _ChangedError
    done: Mapping[int, str] | None = {}
    if plan.ready:
        done = TOGETHER[job.kind].do(job, plan.ready, _caller(job, 0))
    if done is None:
        raise _ChangedError
    noted = [item for item in group if item.file_pk in done or item.file_pk in plan.refused]
    for item in noted:
        is_done = item.file_pk in done
        item.result = ItemResult.DONE if is_done else ItemResult.REFUSED
        item.detail = (done if is_done else plan.refused)[item.file_pk][:200]
    waiting = FileJobItem.objects.filter(result=ItemResult.WAITING)
    if waiting.bulk_update(noted, ["result", "detail"]) != len(noted):
        raise _ChangedError
    sizes = [item.bytes for item in noted if item.result == ItemResult.DONE]
    FileJob.objects.filter(pk=job.pk).update(
        done_files=F("done_files") + len(sizes),
        done_bytes=F("done_bytes") + sum(sizes),
        refused_files=F("refused_files") + len(noted) - len(sizes),
        progressed_at=Now(),
    )
    return {item.pk for item in noted}


def _is_mine(job: FileJob) -> FileJobQuerySet:
    """Return the job's row as long as our lease holds and nobody has cancelled it."""
    return FileJob.objects.filter(pk=job.pk, lease_token=job.lease_token, status=JobStatus.RUNNING)


def _do(job: FileJob, item: FileJobItem, file: File | None) -> bool:
    """Do to one file what the job is for; False where the job was cancelled, or is another's now."""
    try:
        if file is None:
            raise FileNotFoundInIndexError(item.file_id)
        if job.kind in ASKING:
            detail = _act(job, file)
            return _note(job, item, ItemResult.DONE, detail)
        with transaction.atomic():
            # First, so that of two processes the second waits, and then finds the file done.
            if not _note(job, item, ItemResult.DONE, ""):
                return False
            detail = _act(job, file)
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


def _act(job: FileJob, file: File) -> str:
    caller = _caller(job, file.organization_id)
    if job.kind in ACTIONS:
        return ACTIONS[job.kind](file, caller, job.arguments)
    together = TOGETHER[job.kind]
    if refused := together.plan(job, [file]).refused:
        raise InvalidRequestError(refused[file.pk])
    return (together.do(job, [file], caller) or {})[file.pk]


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


def _caller(job: FileJob, organization_id: int) -> Caller:
    return Caller(
        organization_id=organization_id,
        actor_type=job.actor_type,
        actor=job.actor,
        api_key_id=job.api_key_id,
        ip=job.ip,
        request_id=job.request_id,
    )
