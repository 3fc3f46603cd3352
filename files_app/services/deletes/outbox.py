"""The outbox of deletes: a tombstone and a row in one commit, and the message that hints at it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from files_app.exceptions import FileHeldError, FileNotFoundInIndexError, GatewayError
from files_app.models import (
    AuditAction,
    CopyState,
    DeletedReason,
    EventKind,
    File,
    FileCopy,
    FileState,
    LineIndex,
    Organization,
)
from files_app.models.copies import GIVEN_UP
from files_app.models.states import DELETABLE_STATES
from files_app.services.accounts.drivers import driver_for
from files_app.services.deletes import trash
from files_app.services.index import audit, events
from files_app.services.index.broker import hint
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import database_time
from providers.objects import Operation


def delete_file(file: File, *, caller: Caller, reason: DeletedReason = DeletedReason.USER) -> None:
    """Make the file invisible, free its quota and let the provider's copies follow.

    Where the organization has a trash, an available file goes there first, and its provider keeps it.

    Raises FileNotFoundInIndexError when somebody else was faster, FileHeldError, and
    UnsupportedOperationError.
    """
    held = [CopyState.AVAILABLE, CopyState.LOST]
    organization = None
    for copy in file.copies.filter(state__in=held).select_related("account", "file__organization"):
        driver_for(copy.account).require(Operation.DELETE)
        organization = copy.file.organization
    with transaction.atomic():
        if organization is not None and trash.put(file, organization, reason=reason):
            until = file.trash_ends_at.isoformat() if file.trash_ends_at else ""
            audit.record_file(
                caller, AuditAction.FILE_DELETE, file, reason=reason.value, in_trash_until=until
            )
            return
        if not tombstone(file, reason=reason):
            raise why_kept(file)
        audit.record_file(caller, AuditAction.FILE_DELETE, file, reason=reason.value)


def tombstone(file: File, *, reason: DeletedReason) -> bool:
    """Mark the file and its copies as `deleting`, inside the caller's transaction.

    False where nothing was done: it was gone, got more time, or is on hold.
    """
    now = timezone.now()
    rows = File.objects.filter(pk=file.pk, is_held=False)
    if reason == DeletedReason.EXPIRED:
        rows = rows.filter(expires_at__lte=now)  # somebody may have given it more time meanwhile
    gone = {"deleted_reason": reason, "state_changed_at": now}
    was_available = rows.to(FileState.DELETING, origin=FileState.AVAILABLE, **gone)
    if not was_available and not rows.to(FileState.DELETING, origin=FileState.LOST, **gone):
        return False
    _follow(file, now, is_counted=bool(was_available) and file.is_counted)
    file.state, file.deleted_reason = FileState.DELETING, reason
    is_over = reason == DeletedReason.EXPIRED
    if was_available:  # of a lost one its organization has been told
        events.file_event(EventKind.FILE_EXPIRED if is_over else EventKind.FILE_DELETED, file)
    return True


def tombstone_trashed(file: File, *, is_over: bool = False) -> bool:
    """Do as `tombstone` does to a file in the trash; False where it was restored, or is on hold.

    is_over: only if its time in the trash is. Why it was deleted is known since then.
    """
    now = timezone.now()
    rows = File.objects.trash_over() if is_over else File.objects.filter(is_held=False, is_withheld=False)
    # What it counts for may have changed since it was read, with a restore and another delete between.
    rows = rows.filter(pk=file.pk, is_counted_in_trash=file.is_counted_in_trash)
    if not rows.to(FileState.DELETING, origin=FileState.TRASHED, state_changed_at=now, trash_ends_at=None):
        return False
    _follow(file, now, is_counted=file.is_counted and file.is_counted_in_trash)
    file.state = FileState.DELETING
    return True


def _follow(file: File, now: datetime, *, is_counted: bool) -> None:
    """Do what follows from a tombstone: what was indexed of it goes, its copies do, its bytes are free."""
    LineIndex.objects.remove(file)
    _begin_deletes(file, now)
    if is_counted:  # copies first, then the counters: the order in which a settle locks them
        Organization.objects.free(file.organization_id, file.bytes)


def why_kept(file: File) -> GatewayError:
    """Return why an available or lost file was not deleted."""
    held = File.objects.filter(pk=file.pk, state__in=DELETABLE_STATES, is_held=True)
    return FileHeldError(file.file_id) if held.exists() else FileNotFoundInIndexError(file.file_id)


def _begin_deletes(file: File, now: datetime) -> None:
    """Mark the file's copies as `deleting`; also lost ones, which their provider may come to show again."""
    copies = file.copies.filter(state__in=[CopyState.AVAILABLE, CopyState.LOST]).select_related("account")
    for copy in copies:
        if copy.state == CopyState.LOST and FileCopy.objects.holding(copy.account, copy.remote_id).exists():
            close_file(copy)  # another file has the id now
            continue
        FileCopy.objects.filter(pk=copy.pk).to(
            CopyState.DELETING,
            origin=copy.state,
            attempts=0,
            next_attempt_at=database_time(plus_seconds=0),
            state_changed_at=now,
        )
        send_after_commit(copy)


def send_after_commit(copy: FileCopy) -> None:
    """Ask a worker to deliver the delete at once. Only a hint: the outbox finds what stays due."""
    transaction.on_commit(lambda: send(copy), robust=True)


def send(copy: FileCopy) -> bool:
    """Publish the delivery of one delete; False when the broker cannot take it now."""
    return hint("deliver_delete", copy.pk, copy.account_id)


def retry_dead(copy: FileCopy, *, caller: Caller) -> bool:
    """Start the attempts of a waiting or given-up delete anew; False when it is neither."""
    row = FileCopy.objects.filter(pk=copy.pk)
    anew = {"attempts": 0, "first_attempt_at": None, "next_attempt_at": database_time(plus_seconds=0)}
    with transaction.atomic():
        changed = row.to(CopyState.DELETING, origin=CopyState.DEAD, **anew)
        changed = changed or row.filter(state=CopyState.DELETING).update(**anew)
        if changed:
            audit.record_file(caller, AuditAction.DELETE_RETRY, copy.file)
            send_after_commit(copy)
    return bool(changed)


def give_up(copy: FileCopy, *, caller: Caller, reason: str) -> bool:
    """Stop deleting a copy at its provider, which may keep it; False when it is not waiting."""
    with transaction.atomic():
        changed = FileCopy.objects.filter(pk=copy.pk).to(
            CopyState.DELETED, last_error=f"{GIVEN_UP}{reason}"[:500], next_attempt_at=None
        )
        if changed:
            close_file(copy)
            audit.record_file(caller, AuditAction.DELETE_GIVE_UP, copy.file, reason=reason[:200])
    return bool(changed)


def close_file(copy: FileCopy) -> None:
    """Call a file deleted once no provider has to delete anything of it, inside the caller's transaction."""
    over = [CopyState.DELETED, CopyState.FAILED, CopyState.LOST]
    if not FileCopy.objects.filter(file=copy.file_id).exclude(state__in=over).exists():
        File.objects.filter(pk=copy.file_id).to(FileState.DELETED, origin=FileState.DELETING)
