"""Jobs: made with the files they are for, cancelled, shown, and forgotten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.core.exceptions import EmptyResultSet
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import ConflictError, InvalidRequestError, UnprocessableError
from files_app.models import AuditAction, File, FileJob, FileJobItem, FileJobPart, JobStatus
from files_app.models.jobs import FileJobQuerySet
from files_app.services.bulk.choice import MAX_FILES
from files_app.services.bulk.exports import forget_exports
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.ids import new_job_id

log = structlog.get_logger(__name__)

#: So long after its end a job's report can be had.
KEPT = timedelta(days=30)
#: Of one organization's clients, or of all staff, at a time: each may write a million rows.
MOST_OPEN = 10
_HINT_SECONDS = 60
_PRUNED = 5_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. kind: a JobKind. described: which files, in words.

    for_client: only the caller's own organization sees the job, on the API. key: see FileJob.
    """

    kind: str
    described: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    filters: Mapping[str, Any] = field(default_factory=dict)
    for_client: bool = False
    key: str | None = None

    @property
    def fingerprint(self) -> str:
        """A digest of what is asked."""
        asked = json.dumps([self.kind, self.arguments, self.filters], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()


def create(order: Order, files: QuerySet[File], *, caller: Caller) -> FileJob:
    """Write down which files a job is for, and let a worker begin.

    With an idempotency key that was used for the same order, that job is returned. Raises
    UnprocessableError for another order with the key, InvalidRequestError for more than MAX_FILES files, and
    ConflictError while too many jobs are not done.
    """
    if order.key is not None and (known := _known(order, caller)) is not None:
        return known
    _refuse_too_many(order, caller)
    try:
        with transaction.atomic():
            job = _written(order, files, caller)
            transaction.on_commit(lambda: _send(job.pk), robust=True)
    except IntegrityError:
        if order.key is None or (known := _known(order, caller)) is None:
            raise
        return known
    return job


def _known(order: Order, caller: Caller) -> FileJob | None:
    job = FileJob.objects.filter(organization=caller.organization_id, idempotency_key=order.key).first()
    if job is not None and job.fingerprint != order.fingerprint:
        raise UnprocessableError(
            "This Idempotency-Key was used for another filter.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )
    return job


def _refuse_too_many(order: Order, caller: Caller) -> None:
    mine = FileJob.objects.filter(organization=caller.organization_id if order.for_client else None)
    if mine.unfinished().count() >= MOST_OPEN:
        raise ConflictError(
            f"{MOST_OPEN} jobs are not done yet: wait for one of them, or cancel it.",
            code="too_many_jobs",
            retry_after_seconds=30.0,
        )


def _written(order: Order, files: QuerySet[File], caller: Caller) -> FileJob:
    job = FileJob.objects.create(
        public_id=new_job_id(),
        kind=order.kind,
        organization_id=caller.organization_id if order.for_client else None,
        api_key_id=caller.api_key_id,
        arguments=dict(order.arguments),
        filters=dict(order.filters),
        described=order.described[:500],
        actor_type=caller.actor_type,
        actor=caller.actor[:150],
        ip=caller.ip,
        request_id=caller.request_id[:64],
        idempotency_key=order.key,
        fingerprint=order.fingerprint,
    )
    if _write_items(job, files) > MAX_FILES:
        raise InvalidRequestError(
            f"More than {MAX_FILES:,} files match, which is more than one job takes: narrow the filter, for "
            "example by time."
        )
    _write_parts(job)
    about = {"object_type": "job", "object_id": job.public_id, "kind": job.kind, "files": job.files}
    audit.record(caller, AuditAction.JOB_CREATE, **about, bytes=job.bytes, described=job.described)
    return job


def _write_items(job: FileJob, files: QuerySet[File]) -> int:
    """Write a row for each file, in one statement, and return how many; at most one more than MAX_FILES."""
    # Through the keys alone: whatever the choice joins, a file is there once.
    chosen = File.objects.filter(pk__in=files.order_by().values("pk")).order_by("indexed_at", "pk")
    columns = ("pk", "file_id", "organization_id", "bytes")
    try:
        sql, parameters = chosen.values_list(*columns)[: MAX_FILES + 1].query.sql_with_params()
    except EmptyResultSet:
        return 0
    table = connection.ops.quote_name(FileJobItem._meta.db_table)
    insert = (
        f"INSERT INTO {table} (file_pk, file_id, organization_id, bytes, job_id, result, detail) "  # noqa: S608
        f"SELECT chosen.*, %s, '', '' FROM ({sql}) AS chosen"
    )
    with connection.cursor() as cursor:
        cursor.execute(insert, [job.pk, *parameters])
        return int(cursor.rowcount)


def _write_parts(job: FileJob) -> None:
    totals = job.items.order_by().values("organization").annotate(number=Count("pk"), size=Sum("bytes"))
    parts = [
        FileJobPart(job=job, organization_id=row["organization"], files=row["number"], bytes=row["size"])
        for row in totals
    ]
    FileJobPart.objects.bulk_create(parts)
    job.files, job.bytes = sum(part.files for part in parts), sum(part.bytes for part in parts)
    job.save(update_fields=["files", "bytes"])


def _send(job_pk: int) -> None:
    """Let a worker begin at once. Only a hint: the next look at what is due finds the job."""
    try:
        current_app.send_task("files_app.tasks.work_on_job", args=(job_pk,), expires=_HINT_SECONDS)
    except (BrokerError, OSError) as exc:
        log.warning("broker_unreachable", error=type(exc).__name__)


@transaction.atomic
def cancel(job: FileJob, *, caller: Caller) -> None:
    """Leave the files that nothing was done to yet as they are. Raises InvalidRequestError for a done job."""
    now = timezone.now()
    if not FileJob.objects.unfinished().filter(pk=job.pk).update(status=JobStatus.CANCELLED, finished_at=now):
        raise InvalidRequestError("The job is over already.")
    audit.record(caller, AuditAction.JOB_CANCEL, object_type="job", object_id=job.public_id)
    job.refresh_from_db()


def forget_jobs() -> int:
    """Remove jobs that ended before KEPT, with their reports, and return how many rows that were.

    What exports wrote goes sooner.
    """
    over: FileJobQuerySet = FileJob.objects.filter(finished_at__lt=timezone.now() - KEPT)
    removed = forget_exports()
    while pks := list(FileJobItem.objects.filter(job__in=over).values_list("pk", flat=True)[:_PRUNED]):
        removed += int(FileJobItem.objects.filter(pk__in=pks)._raw_delete(using=over.db))
    return removed + over.delete()[0]
