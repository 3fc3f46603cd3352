"""Deletions: all files of the caller's organization that match a filter, as a job with a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from files_app.api import parameters, schema
from files_app.api.authentication import caller_of
from files_app.api.deletion_request import read_deletion
from files_app.exceptions import JobNotFoundError
from files_app.models import DeletedReason, FileJob, ItemResult, JobKind, JobStatus
from files_app.models.organizations import Scope
from files_app.services.bulk import choice, jobs, report
from files_app.services.bulk.choice import Summary
from files_app.services.index.callers import Caller
from files_app.services.retention.filters import as_json, in_words
from files_app.services.uploads.idempotency import check_key

#: What the wire calls a job's status.
_STATUSES = {
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "in_progress",
    JobStatus.DONE: "completed",
    JobStatus.CANCELLED: "cancelled",
}
_RESULTS = {ItemResult.WAITING: "waiting", ItemResult.DONE: "deleted", ItemResult.REFUSED: "refused"}


class DeletionsView(APIView):
    """All files that match."""

    method_scopes: Mapping[str, Scope] = {"POST": Scope.DELETE}

    @schema.create_deletion
    def post(self, request: Request) -> Response:
        """Delete all files that match a filter; with `dry_run`, only count them."""
        caller = caller_of(request)
        asked = read_deletion(request)
        files = choice.live_matching(caller.organization_id, asked.filters)
        wanted = as_json(asked.filters)
        if asked.dry_run:
            return Response(_dry_run(wanted, choice.summary(files)))
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        order = jobs.Order(
            JobKind.DELETE,
            in_words(wanted),
            arguments={"reason": (DeletedReason.ERASED if asked.erase else DeletedReason.USER).value},
            filters=wanted,
            for_client=True,
            key=None if key is None else check_key(key),
        )
        return Response(deletion_object(jobs.create(order, files, caller=caller)))


class DeletionView(APIView):
    """One deletion."""

    method_scopes: Mapping[str, Scope] = {"GET": Scope.DELETE, "HEAD": Scope.DELETE}

    @schema.retrieve_deletion
    def get(self, request: Request, deletion_id: str) -> Response:
        """Retrieve a deletion and how far it is."""
        return Response(deletion_object(_job(caller_of(request), deletion_id)))


class DeletionCancelView(APIView):
    """The end of a deletion before its time."""

    method_scopes: Mapping[str, Scope] = {"POST": Scope.DELETE}

    @schema.cancel_deletion
    def post(self, request: Request, deletion_id: str) -> Response:
        """Cancel a deletion: files that are not deleted yet stay."""
        job = _job(caller_of(request), deletion_id)
        jobs.cancel(job, caller=caller_of(request))
        return Response(deletion_object(job))


class DeletionReportView(APIView):
    """What became of each file."""

    method_scopes: Mapping[str, Scope] = {"GET": Scope.DELETE, "HEAD": Scope.DELETE}

    @schema.report_deletion
    def get(self, request: Request, deletion_id: str) -> StreamingHttpResponse:
        """Answer one line of JSON for each file."""
        job = _job(caller_of(request), deletion_id)
        return StreamingHttpResponse(
            _lines(job),
            content_type="application/x-ndjson",
            headers={"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"},
        )


def _job(caller: Caller, deletion_id: str) -> FileJob:
    jobs_of_clients = FileJob.objects.filter(organization=caller.organization_id, kind=JobKind.DELETE)
    job = jobs_of_clients.filter(public_id=deletion_id).first()
    if job is None:
        raise JobNotFoundError(deletion_id)
    return job


def _lines(job: FileJob) -> Iterator[str]:
    for item in report.items_of(job):
        line = {"id": item.file_id, "bytes": item.bytes, "result": _RESULTS[ItemResult(item.result)]}
        yield json.dumps({**line, "detail": item.detail or None}, ensure_ascii=False) + "\n"


def deletion_object(job: FileJob) -> dict[str, Any]:
    """Return a deletion as clients see it."""
    counts = {
        "files": job.files,
        "bytes": job.bytes,
        "deleted": job.done_files,
        "deleted_bytes": job.done_bytes,
        "refused": job.refused_files,
        "waiting": job.waiting_files,
    }
    return _object(
        id=job.public_id,
        status=_STATUSES[JobStatus(job.status)],
        filters=job.filters,
        counts=counts,
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.finished_at.timestamp()) if job.finished_at else None,
        report=f"/v1/files/deletions/{job.public_id}/report",
    )


def _dry_run(filters: Mapping[str, Any], found: Summary) -> dict[str, Any]:
    counts = {"files": found.files, "bytes": found.bytes, "deleted": 0, "deleted_bytes": 0}
    return _object(
        id=None,
        status="dry_run",
        filters=filters,
        counts={**counts, "refused": 0, "waiting": found.files},
        created_at=int(timezone.now().timestamp()),
        completed_at=None,
        report=None,
    )


def _object(
    *, id: str | None, status: str, filters: Mapping[str, Any], counts: Mapping[str, int], **times: Any
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "file.deletion_job",
        "status": status,
        "filter": parameters.shown_filters(filters),
        "counts": counts,
        **times,
    }
