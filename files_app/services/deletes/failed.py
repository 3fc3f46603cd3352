"""Failed uploads that nobody wants to see any more."""

from __future__ import annotations

from django.db import transaction

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError
from files_app.models import AuditAction, CopyState, File, FileState
from files_app.services.index import audit
from files_app.services.index.callers import Caller

#: States in which no provider holds anything of the upload.
_OVER = frozenset({CopyState.FAILED, CopyState.DELETED})


def remove_failed(file: File, *, caller: Caller) -> None:
    """Take a failed upload off the index; the audit trail keeps what happened.

    Raises InvalidRequestError while its provider may hold bytes of it: the row says what to look for there.
    Raises FileNotFoundInIndexError when somebody else was faster.
    """
    with transaction.atomic():
        failed = File.objects.filter(pk=file.pk, state=FileState.FAILED)
        if not failed.select_for_update().exists():
            raise FileNotFoundInIndexError(file.file_id)
        # Locked, so that an upload that ends at its provider after all finds its copy, or has found it.
        if not _OVER.issuperset(file.copies.select_for_update().values_list("state", flat=True)):
            raise InvalidRequestError(
                "Its provider may hold bytes of it, which the gateway looks for and deletes by itself. "
                "Delete it when it is no longer under Deletions."
            )
        audit.record_file(caller, AuditAction.FILE_DELETE, file, reason="failed upload")
        failed.delete()
