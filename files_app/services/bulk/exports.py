"""Exports by a job: its worker writes some files at a time; whoever may see the job takes them all."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from files_app.exceptions import ConflictError
from files_app.models import ExportedChunk, File, FileJob, JobKind, JobStatus
from files_app.models.jobs import UNFINISHED_JOBS
from files_app.services.index.file_objects import file_record
from files_app.services.index.transactions import in_batches

#: So long after its end what an export wrote can be had: over a weekend. It has what was deleted since, too.
KEPT = timedelta(days=3)
_AT_ONCE = 10
_PRUNED = 200


def write(job: FileJob, files: Sequence[File]) -> None:
    """Add files to what a job has exported, inside the caller's transaction."""
    lines = "".join(json.dumps(file_record(file), ensure_ascii=False) + "\n" for file in files)
    ExportedChunk.objects.create(job=job, data=zlib.compress(lines.encode()))


def is_there(job: FileJob) -> bool:
    """Whether what a job exported is whole and can still be had.

    Not where an organization has gone whose files it has: who may see them is not known any more.
    """
    if job.kind != JobKind.EXPORT or job.status != JobStatus.DONE or job.finished_at is None:
        return False
    known = job.parts.aggregate(files=Sum("files"))["files"] or 0
    return job.finished_at > timezone.now() - KEPT and known == job.files


def records_of(job: FileJob) -> Iterator[dict[str, Any]]:
    """Return what a job exported, read in pieces. Raises ConflictError where that is not there."""
    if not is_there(job):
        raise ConflictError(
            f"There is nothing to take of {job}: it is no export, it is not done, or it ended more than "
            f"{KEPT.days} days ago."
        )
    return _records(job)


def _records(job: FileJob) -> Iterator[dict[str, Any]]:
    for chunks in in_batches(job.exported.all(), _AT_ONCE):
        for chunk in chunks:
            for line in zlib.decompress(chunk.data).decode().split("\n")[:-1]:
                yield json.loads(line)


def forget_exports() -> int:
    """Remove what was exported by jobs that ended before KEPT, or were cancelled; return how many chunks."""
    rows = ExportedChunk.objects.exclude(job__status__in=UNFINISHED_JOBS)
    over = rows.filter(job__finished_at__lt=timezone.now() - KEPT) | rows.filter(
        job__status=JobStatus.CANCELLED
    )
    removed = 0
    while pks := list(over.values_list("pk", flat=True)[:_PRUNED]):
        removed += int(ExportedChunk.objects.filter(pk__in=pks)._raw_delete(using=over.db))
    return removed
