"""The end of an upload that failed: its reservation is given back, and what the provider holds removed."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from files_app.models import File, FileCopy, Organization
from files_app.models.files import CopyState, FileState
from files_app.services.deletes import delivery as deletes
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import database_time
from files_app.services.tenants.keys import system_caller


@transaction.atomic
def abandon_upload(
    file: File,
    copy: FileCopy,
    *,
    caller: Caller,
    reason: str,
    may_be_stored: bool,
    remote_id: str = "",
    filename: str = "",
    size: int = 0,
) -> None:
    """Mark an upload as failed and give its reservation back; whatever the provider holds will be removed.

    may_be_stored: the provider may have the file. With its `remote_id` it is deleted, without one it is
    searched for. Does nothing to an upload that has ended otherwise.
    """
    row = (
        File.objects.select_for_update()
        .filter(pk=file.pk, state=FileState.UPLOADING)
        .values("reserved_bytes")
        .first()
    )
    now = timezone.now()
    if row is not None:
        File.objects.filter(pk=file.pk, state=FileState.UPLOADING).update(
            state=FileState.FAILED,
            failure=reason[:500],
            filename=filename,
            bytes=size,
            reserved_bytes=0,
            lease_token="",
            lease_expires_at=None,
            state_changed_at=now,
        )
        Organization.objects.release(file.organization_id, row["reserved_bytes"])
        if reason:
            audit.record_file(caller, "file.create", file, result="failed", reason=reason[:200])
    elif not remote_id:
        return
    state = CopyState.UNCONFIRMED if may_be_stored else CopyState.FAILED
    if remote_id:
        state = CopyState.DELETING
    FileCopy.objects.filter(pk=copy.pk).exclude(state=CopyState.AVAILABLE).update(
        state=state,
        remote_id=remote_id,
        last_error=reason[:500],
        next_attempt_at=database_time(plus_seconds=0),
        state_changed_at=now,
    )
    if remote_id:
        deletes.send_after_commit(copy.pk)


@transaction.atomic
def give_up_upload(pk: int) -> bool:
    """Fail an upload whose lease ran out; False when it has ended otherwise, or goes on after all."""
    file = File.objects.stuck().select_for_update().filter(pk=pk).first()
    if file is None:
        return False
    abandon_upload(
        file,
        file.copies.get(),
        caller=system_caller(file.organization_id),
        reason="the upload made no progress for too long",
        may_be_stored=True,
        filename=file.filename,
        size=file.bytes,
    )
    return True
