"""The trash: where an organization wants it, what is deleted waits there, for staff to bring it back.

For clients the file is gone; its provider still has it, and its id stays its own. What its time or a rule
ends never comes here, nor what is erased. `purging` empties it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from files_app.exceptions import ConflictError, InvalidRequestError, QuotaExceededError
from files_app.models import AuditAction, DeletedReason, EventKind, File, FileState, Organization
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller
from files_app.services.index.metering import spans
from files_app.words import readable_bytes


def takes(organization: Organization, reason: DeletedReason) -> bool:
    """Whether what an organization deletes for this reason goes to a trash first."""
    return bool(organization.trash_days) and reason != DeletedReason.ERASED


def put(files: Sequence[File], organization: Organization, *, reason: DeletedReason) -> bool:
    """Put available files into their organization's trash, inside the caller's transaction.

    False where one was not available, is on hold, or does not go there. Of several files some may be there
    then: the caller rolls back.
    """
    if not takes(organization, reason):
        return False
    now = timezone.now()
    is_counted = not organization.trash_is_free
    for until, ending in _by_end(files, organization, now).items():
        done = File.objects.filter(pk__in=[file.pk for file in ending], is_held=False).to(
            FileState.TRASHED,
            origin=FileState.AVAILABLE,
            deleted_reason=reason,
            state_changed_at=now,
            trash_ends_at=until,
            is_counted_in_trash=is_counted,
        )
        if done != len(ending):
            return False
        for file in ending:
            file.state, file.deleted_reason, file.trash_ends_at = FileState.TRASHED, reason, until
    if not is_counted and (freed := [file.bytes for file in files if file.is_counted]):
        Organization.objects.free(organization.pk, sum(freed), files=len(freed))
    for file in files:
        events.file_event(EventKind.FILE_DELETED, file)
    return True


def _by_end(files: Sequence[File], organization: Organization, now: datetime) -> dict[datetime, list[File]]:
    """Return the files by when their time in the trash is over."""
    found: dict[datetime, list[File]] = defaultdict(list)
    for file in files:
        ends = [now + timedelta(days=organization.trash_days), file.expires_at, file.provider_expires_at]
        found[min(filter(None, ends))].append(file)
    return found


@transaction.atomic
def restore(file: File, *, caller: Caller) -> None:
    """Bring a file back out of the trash: clients have it again, with the id that it had.

    Raises InvalidRequestError for one that is not there or whose time is over, QuotaExceededError where its
    bytes were not counted and have no room now, and ConflictError where another file has its id.
    """
    row = File.objects.select_for_update(of=("self",)).filter(pk=file.pk, state=FileState.TRASHED).first()
    if row is None:
        raise InvalidRequestError(f"The file '{file.file_id}' is not in the trash.")
    if row.is_expired:
        raise InvalidRequestError(f"The time of the file '{file.file_id}' is over: it cannot be restored.")
    back = {"deleted_reason": "", "trash_ends_at": None, "is_counted_in_trash": False}
    try:
        with transaction.atomic():
            spans.reopen(File.objects.filter(pk=file.pk), origin=FileState.TRASHED, **back)
    except IntegrityError:
        raise ConflictError(
            f"The same content was uploaded again and has the id '{file.file_id}' now: there is nothing to "
            "restore."
        ) from None
    if row.is_counted and not row.is_counted_in_trash:
        _count_again(row)
    audit.record_file(caller, AuditAction.FILE_RESTORE, file)
    events.file_created(file)


def _count_again(file: File) -> None:
    if not Organization.objects.recount_one(file.organization_id, file.bytes):
        raise QuotaExceededError(
            f"The file needs {readable_bytes(file.bytes)}, which do not fit into the organization's quota "
            "or number of files any more: its trash is not counted. Delete files, or raise its limits."
        )
