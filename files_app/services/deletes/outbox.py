"""The outbox of deletes: a tombstone and a row in one commit, and the message that hints at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
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
    ProviderAccount,
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

#: Copies that a delete is for.
_HELD = (CopyState.AVAILABLE, CopyState.LOST)


def delete_file(file: File, *, caller: Caller, reason: DeletedReason = DeletedReason.USER) -> None:
    """Make the file invisible, free its quota and let the provider's copies follow.

    Where the organization has a trash, an available file goes there first, and its provider keeps it, unless
    it is erased.

    Raises FileNotFoundInIndexError when somebody else was faster, FileHeldError, and
    UnsupportedOperationError.
    """
    organization = None
    for copy in file.copies.filter(state__in=_HELD).select_related("account", "file__organization"):
        driver_for(copy.account).require(Operation.DELETE)
        organization = copy.file.organization
    with transaction.atomic():
        if organization is not None and trash.put([file], organization, reason=reason):
            _record_trashed([file], caller, reason)
            return
        if not tombstone(file, reason=reason):
            raise why_kept(file)
        audit.record_file(caller, AuditAction.FILE_DELETE, file, reason=reason.value)


def delete_files(files: Sequence[File], *, caller: Caller, reason: DeletedReason) -> bool:
    """Do as `delete_file` does to each of some available files, by few statements for all of them.

    Inside the caller's transaction, which rolls back where this is False, or raises: then one of them was on
    hold or not available any more, or its provider cannot delete. caller: for each file's own organization.
    """
    held = FileCopy.objects.filter(file__in=files, state__in=_HELD)
    for account in ProviderAccount.objects.filter(pk__in=held.values("account")):
        driver_for(account).require(Operation.DELETE)
    for organization, own in _by_organization(files).items():
        if trash.put(own, organization, reason=reason):
            _record_trashed(own, caller, reason)
        elif trash.takes(organization, reason) or not _tombstone_all(own, reason, origin=FileState.AVAILABLE):
            return False
        else:
            audit.record_files(caller, AuditAction.FILE_DELETE, own, reason=reason.value)
    return True


def _by_organization(files: Sequence[File]) -> dict[Organization, list[File]]:
    """Return the files of each, in one order for all: so do two transactions lock the counters."""
    found: dict[Organization, list[File]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.organization_id):
        found[file.organization].append(file)
    return found


def _record_trashed(files: Sequence[File], caller: Caller, reason: DeletedReason) -> None:
    until: dict[str, list[File]] = defaultdict(list)
    for file in files:
        until[file.trash_ends_at.isoformat() if file.trash_ends_at else ""].append(file)
    for end, own in until.items():
        audit.record_files(caller, AuditAction.FILE_DELETE, own, reason=reason.value, in_trash_until=end)


def tombstone(file: File, *, reason: DeletedReason) -> bool:
    """Mark the file and its copies as `deleting`, inside the caller's transaction.

    False where nothing was done: it was gone, got more time, or is on hold.
    """
    return any(_tombstone_all([file], reason, origin=state) for state in DELETABLE_STATES)


def tombstones(files: Sequence[File], *, reason: DeletedReason) -> bool:
    """Do as `tombstone` does to each of some files, by few statements for all of them.

    Inside the caller's transaction, which rolls back where this is False: some may be marked then.
    """
    return all(_tombstone_own(own, reason) for own in _by_organization(files).values())


def _tombstone_own(files: Sequence[File], reason: DeletedReason) -> bool:
    by_state = {state: [file for file in files if file.state == state] for state in DELETABLE_STATES}
    if sum(map(len, by_state.values())) != len(files):
        return False
    return all(_tombstone_all(own, reason, origin=state) for state, own in by_state.items() if own)


def _tombstone_all(files: Sequence[File], reason: DeletedReason, *, origin: FileState) -> bool:
    """Mark files of one state; False where one was not in it. Of several some may be marked then."""
    now = timezone.now()
    rows = File.objects.filter(pk__in=[file.pk for file in files], is_held=False)
    if reason == DeletedReason.EXPIRED:
        rows = rows.filter(expires_at__lte=now)  # somebody may have given one more time meanwhile
    gone = {"deleted_reason": reason, "state_changed_at": now}
    if rows.to(FileState.DELETING, origin=origin, **gone) != len(files):
        return False
    # Lost ones count no more, and their organization has been told of them.
    available = files if origin == FileState.AVAILABLE else []
    _follow(files, now, counted=[file for file in available if file.is_counted])
    kind = EventKind.FILE_EXPIRED if reason == DeletedReason.EXPIRED else EventKind.FILE_DELETED
    for file in files:
        file.state, file.deleted_reason = FileState.DELETING, reason
    for file in available:
        events.file_event(kind, file)
    return True


def tombstones_trashed(files: Sequence[File], *, is_over: bool = False) -> bool:
    """Do as `tombstones` does to files in the trash; False where one was restored, or is on hold.

    is_over: only if their time in the trash is. Why they were deleted is known since then.
    """
    return all(_tombstone_own_trashed(own, is_over) for own in _by_organization(files).values())


def _tombstone_own_trashed(files: Sequence[File], is_over: bool) -> bool:
    now, done = timezone.now(), 0
    gone = {"state_changed_at": now, "trash_ends_at": None}
    there = File.objects.trash_over() if is_over else File.objects.filter(is_held=False, is_withheld=False)
    # What one counts for may have changed since it was read, with a restore and another delete between.
    for is_counted in (True, False):
        pks = [file.pk for file in files if file.is_counted_in_trash is is_counted]
        rows = there.filter(pk__in=pks, is_counted_in_trash=is_counted)
        done += rows.to(FileState.DELETING, origin=FileState.TRASHED, **gone)
    if done != len(files):
        return False
    counted = [file for file in files if file.is_counted and file.is_counted_in_trash]
    _follow(files, now, counted=counted)
    for file in files:
        file.state = FileState.DELETING
    return True


def _follow(files: Sequence[File], now: datetime, *, counted: Sequence[File]) -> None:
    """Do what follows from tombstones of one organization: what was indexed of the files goes, their copies
    do, the bytes of those that counted are free.
    """
    LineIndex.objects.remove(*files)
    _begin_deletes(files, now)
    if counted:  # copies first, then the counters: the order in which a settle locks them
        size = sum(file.bytes for file in counted)
        Organization.objects.free(counted[0].organization_id, size, files=len(counted))


def why_kept(file: File) -> GatewayError:
    """Return why an available or lost file was not deleted."""
    held = File.objects.filter(pk=file.pk, state__in=DELETABLE_STATES, is_held=True)
    return FileHeldError(file.file_id) if held.exists() else FileNotFoundInIndexError(file.file_id)


def _begin_deletes(files: Sequence[File], now: datetime) -> None:
    """Mark the files' copies as `deleting`; also lost ones, which their provider may come to show again."""
    deleting: dict[str, list[FileCopy]] = {CopyState.AVAILABLE: [], CopyState.LOST: []}
    for copy in FileCopy.objects.filter(file__in=files, state__in=_HELD).select_related("account"):
        if copy.state == CopyState.LOST and FileCopy.objects.holding(copy.account, copy.remote_id).exists():
            close_file(copy)  # another file has the id now
        else:
            deleting[copy.state].append(copy)
    for state, copies in deleting.items():
        if copies:
            FileCopy.objects.filter(pk__in=[copy.pk for copy in copies]).to(
                CopyState.DELETING,
                origin=state,
                attempts=0,
                next_attempt_at=database_time(plus_seconds=0),
                state_changed_at=now,
            )
            _send_one_of_each_account(copies)


def _send_one_of_each_account(copies: Collection[FileCopy]) -> None:
    """Hint at some deletes: whoever gets to one goes on with what else is due at its account."""
    for copy in {copy.account_id: copy for copy in copies}.values():
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
