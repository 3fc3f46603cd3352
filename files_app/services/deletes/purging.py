"""Empties the trash: what has been there long enough, or what staff wants gone, is deleted for good."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from files_app.exceptions import FileHeldError, InvalidRequestError
from files_app.models import AuditAction, File
from files_app.services.deletes import outbox
from files_app.services.deletes.ending import end_all
from files_app.services.index import audit
from files_app.services.index.callers import Caller, system_caller

#: One run; the next begins behind it.
_LONGEST_SECONDS = 50.0


def empty_trash() -> int:
    """Delete what has been in the trash for its time, and return how many files; the outbox does the rest."""
    due = File.objects.trash_over().order_by("trash_ends_at")
    return end_all(due, _purge_over, seconds=_LONGEST_SECONDS)


def _purge_over(files: Sequence[File]) -> bool:
    if not outbox.tombstones_trashed(files, is_over=True):
        return False
    audit.record_files(system_caller(0), AuditAction.FILE_PURGE, files)
    return True


@transaction.atomic
def purge(file: File, *, caller: Caller) -> None:
    """Delete a file in the trash for good. Raises InvalidRequestError and FileHeldError."""
    if not outbox.tombstones_trashed([file]):
        if File.objects.filter(pk=file.pk, is_held=True).exists():
            raise FileHeldError(file.file_id)
        raise InvalidRequestError(f"The file '{file.file_id}' is not in the trash.")
    audit.record_file(caller, AuditAction.FILE_PURGE, file)
