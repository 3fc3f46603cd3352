"""Expiry: a file past its time is invisible at once; this cleans up behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditAction, DeletedReason, File, FileState, RetentionRule
from files_app.models.retention import Rules
from files_app.services.deletes import outbox
from files_app.services.deletes.ending import end_all
from files_app.services.index import audit
from files_app.services.index.callers import Caller, system_caller

#: One run; the next begins behind it.
_LONGEST_SECONDS = 25.0


def expire_files() -> int:
    """Tombstone files whose time is over and return how many; the delete pipeline does the rest."""
    due = File.objects.expired().order_by("expires_at")
    return end_all(due, _expire, seconds=_LONGEST_SECONDS)


def _expire(files: Sequence[File]) -> bool:
    if not outbox.tombstones(files, reason=DeletedReason.EXPIRED):
        return False
    audit.record_files(system_caller(0), AuditAction.FILE_EXPIRE, files)
    return True


def set_expiry(file: File, expires_at: datetime | None, *, caller: Caller) -> None:
    """Let the gateway delete the file at that time; None keeps it until somebody deletes it.

    No longer than the operator's rules let it live. What a provider itself does after its own time is not
    changed. Raises InvalidRequestError, FileHeldError and FileNotFoundInIndexError.
    """
    for refusal in why_not_until([file], expires_at).values():
        raise refusal
    with transaction.atomic():
        if not set_expiries([file], expires_at, caller=caller):
            raise outbox.why_kept(file)


def why_not_until(files: Sequence[File], expires_at: datetime | None) -> Mapping[int, InvalidRequestError]:
    """Return why files may not be kept until then, of those that may not, by their primary keys."""
    if expires_at is not None and expires_at <= timezone.now():
        past = "The expiry has to be in the future: to remove a file now, delete it."
        return {file.pk: InvalidRequestError(past) for file in files}
    places = {(file.organization_id, file.account_id) for file in files}
    rules = {place: RetentionRule.objects.at(*place) for place in places}
    found = {
        file.pk: _beyond(rules[file.organization_id, file.account_id], file, expires_at) for file in files
    }
    return {pk: refusal for pk, refusal in found.items() if refusal}


def set_expiries(files: Sequence[File], expires_at: datetime | None, *, caller: Caller) -> bool:
    """Do as `set_expiry` does to each of some files that may be kept so long, by few statements for all.

    Inside the caller's transaction, which rolls back where this is False: then one of them was on hold or not
    available any more. caller: for each file's own organization.
    """
    available = File.objects.filter(state=FileState.AVAILABLE, is_held=False)
    if available.filter(pk__in=[file.pk for file in files]).update(expires_at=expires_at) != len(files):
        return False
    until = expires_at.isoformat() if expires_at else "never"
    audit.record_files(caller, AuditAction.FILE_SET_EXPIRY, files, expires_at=until)
    for file in files:
        file.expires_at = expires_at
    return True


def _beyond(rules: Rules, file: File, expires_at: datetime | None) -> InvalidRequestError | None:
    longest = rules.life(file.purpose).longest_seconds
    if longest is None:
        return None
    latest = file.indexed_at + timedelta(seconds=longest)
    if expires_at is not None and expires_at <= latest:
        return None
    return InvalidRequestError(
        f"A retention rule ends the file by {latest:%Y-%m-%d %H:%M} UTC: choose a time before that, or "
        "change the rule."
    )
