"""Expiry: a file past its time is invisible at once; this cleans up behind it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditAction, DeletedReason, File, FileState, RetentionRule
from files_app.services.deletes import outbox
from files_app.services.index import audit
from files_app.services.index.callers import Caller, system_caller


def expire_files(limit: int = 500) -> int:
    """Tombstone files whose time is over and return how many; the delete pipeline does the rest."""
    expired = 0
    for file in File.objects.expired().select_related("account").order_by("expires_at")[:limit]:
        with transaction.atomic():
            if outbox.tombstone(file, reason=DeletedReason.EXPIRED):
                audit.record_file(system_caller(file.organization_id), AuditAction.FILE_EXPIRE, file)
                expired += 1
    return expired


def set_expiry(file: File, expires_at: datetime | None, *, caller: Caller) -> None:
    """Let the gateway delete the file at that time; None keeps it until somebody deletes it.

    No longer than the operator's rules let it live. What a provider itself does after its own time is not
    changed. Raises InvalidRequestError, FileHeldError and FileNotFoundInIndexError.
    """
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequestError("The expiry has to be in the future: to remove a file now, delete it.")
    _refuse_beyond_rules(file, expires_at)
    with transaction.atomic():
        available = File.objects.filter(pk=file.pk, state=FileState.AVAILABLE, is_held=False)
        if not available.update(expires_at=expires_at):
            raise outbox.why_kept(file)
        until = expires_at.isoformat() if expires_at else "never"
        audit.record_file(caller, AuditAction.FILE_SET_EXPIRY, file, expires_at=until)
    file.expires_at = expires_at


def _refuse_beyond_rules(file: File, expires_at: datetime | None) -> None:
    longest = (
        RetentionRule.objects.at(file.organization_id, file.account_id).life(file.purpose).longest_seconds
    )
    if longest is None:
        return
    latest = file.indexed_at + timedelta(seconds=longest)
    if expires_at is None or expires_at > latest:
        raise InvalidRequestError(
            f"A retention rule ends the file by {latest:%Y-%m-%d %H:%M} UTC: choose a time before that, or "
            "change the rule."
        )
