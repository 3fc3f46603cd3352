"""The report of a job: a row for each file, in the order in which they were worked on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from files_app.models import FileJob, FileJobItem, ItemResult
from files_app.services.index.transactions import in_batches

_BATCH = 2_000


def items_of(job: FileJob) -> Iterator[FileJobItem]:
    """Yield the items, some thousands by a query of their own: no cursor waits for a slow reader."""
    for batch in in_batches(job.items.all(), _BATCH):
        yield from batch


def records_of(job: FileJob) -> Iterator[dict[str, Any]]:
    """Yield the items as staff see them."""
    names = dict(job.parts.values_list("organization", "organization__name"))
    for item in items_of(job):
        yield {
            "id": item.file_id,
            "organization": names.get(item.organization_id, ""),
            "bytes": item.bytes,
            "result": item.result or ItemResult.WAITING.label.lower(),
            "detail": item.detail,
        }
