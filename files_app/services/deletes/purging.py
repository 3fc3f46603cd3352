"""Empties the trash: what has been there long enough, or what staff wants gone, is deleted for good."""

from __future__ import annotations

from django.db import transaction

from files_app.exceptions import FileHeldError, InvalidRequestError
from files_app.models import AuditAction, File
from files_app.services.deletes import outbox
from files_app.services.index import audit
from files_app.services.index.callers import Caller, system_caller


def empty_trash(limit: int = 500) -> int:
    """Delete what has been in the trash for its time, and return how many files; the outbox does the rest."""
    purged = 0
    for file in File.objects.trash_over().select_related("account").order_by("trash_ends_at")[:limit]:
        with transaction.atomic():
            if outbox.tombstone_trashed(file, is_over=True):
                audit.record_file(system_caller(file.organization_id), AuditAction.FILE_PURGE, file)
                purged += 1
    return purged


@transaction.atomic
def purge(file: File, *, caller: Caller) -> None:
    """Delete a file in the trash for good. Raises InvalidRequestError and FileHeldError."""
    if not outbox.tombstone_trashed(file):
        if File.objects.filter(pk=file.pk, is_held=True).exists():
            raise FileHeldError(file.file_id)
        raise InvalidRequestError(f"The file '{file.file_id}' is not in the trash.")
    audit.record_file(caller, AuditAction.FILE_PURGE, file)
