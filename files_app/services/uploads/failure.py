"""The end of an upload that failed: its reservation is given back, and what the provider holds removed."""

from __future__ import annotations

from django.db import transaction

from files_app.exceptions import (
    BodyIncompleteError,
    FileTooLargeError,
    GatewayError,
    QuotaExceededError,
    TemporaryError,
)
from files_app.models import AuditAction, CopyState, FailureKind, File, FileCopy, FileState, Organization
from files_app.observability import context
from files_app.services.deletes import outbox
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller, system_caller
from files_app.services.index.transactions import database_time
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)

#: States of a copy that no later end of the upload may overrule.
_MAY_HOLD_BYTES = (CopyState.UPLOADING, CopyState.UNCONFIRMED, CopyState.FAILED)


@transaction.atomic
def abandon_upload(
    file: File,
    copy: FileCopy,
    *,
    caller: Caller,
    reason: str,
    may_be_stored: bool,
    kind: FailureKind | None = None,
    remote_id: str = "",
    filename: str = "",
    size: int = 0,
) -> None:
    """Mark an upload as failed and give its reservation back; whatever the provider holds will be removed.

    kind: whose turn it is, from `kind_of`; None with an empty reason, where nothing went wrong.
    may_be_stored: the provider may have the file. With its `remote_id` it is deleted, without one it is
    searched for. Does nothing to an upload that has ended otherwise.
    """
    context.annotate(file_id=file.file_id)
    if _fail(file, reason=reason, kind=kind, filename=filename, size=size):
        if reason:
            audit.record_file(caller, AuditAction.FILE_CREATE, file, result="failed", reason=reason[:200])
            events.file_failed(file, reason, filename=filename, bytes=size)
    elif not remote_id:
        return
    row = FileCopy.objects.filter(pk=copy.pk)
    values = {"last_error": reason[:500], "next_attempt_at": database_time(plus_seconds=0)}
    if remote_id:
        # Also of an upload that the sweeper gave up: it has been looking for what can now be named.
        row.to(CopyState.DELETING, origin=_MAY_HOLD_BYTES, remote_id=remote_id, **values)
        outbox.send_after_commit(copy)
    else:
        end = CopyState.UNCONFIRMED if may_be_stored else CopyState.FAILED
        row.to(end, origin=CopyState.UPLOADING, **values)


def _fail(file: File, *, reason: str, kind: FailureKind | None, filename: str, size: int) -> bool:
    """Mark the file as failed and release what it reserved; False when its upload has ended otherwise."""
    running = File.objects.filter(pk=file.pk, state=FileState.UPLOADING)
    reserved = running.select_for_update().values_list("reserved_bytes", flat=True).first()
    if reserved is None:
        return False
    running.to(
        FileState.FAILED,
        failure=reason[:500],
        failure_kind=kind or "",
        filename=filename,
        bytes=size,
        reserved_bytes=0,
        lease_token="",
        lease_expires_at=None,
    )
    Organization.objects.release(file.organization_id, reserved)
    return True


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
        kind=FailureKind.STALLED,
        may_be_stored=True,
        filename=file.filename,
        size=file.bytes,
    )
    return True


def give_up_stuck(limit: int) -> int:
    """Fail uploads whose lease ran out and return how many; the quota is free again with the same commit."""
    return sum(give_up_upload(pk) for pk in list(File.objects.stuck().values_list("pk", flat=True)[:limit]))


def may_be_stored(exc: BaseException) -> bool:
    """Whether a provider that got the whole file may have it: it did not say clearly that it refused it."""
    if not isinstance(exc, ProviderError) or not exc.answered:
        return True
    was_served = isinstance(exc, ProviderUnavailableError) and exc.status_code is not None
    return was_served or isinstance(exc, InvalidResponseError)


def reason_of(exc: BaseException) -> str:
    """Return why an upload failed, as its row and the audit trail say it."""
    return exc.message if isinstance(exc, GatewayError | ProviderError) else type(exc).__name__


#: The first that fits: subclasses stand before what they are made of.
_KINDS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (CredentialsError, FailureKind.CREDENTIALS),
    (ConfigurationRefusedError, FailureKind.CONFIGURATION),
    (ProviderConfigurationError, FailureKind.CONFIGURATION),
    (RateLimitedError, FailureKind.RATE_LIMITED),
    (ProviderUnavailableError, FailureKind.UNAVAILABLE),
    (InvalidResponseError, FailureKind.UNCLEAR),
    (ProviderError, FailureKind.REJECTED),
    (QuotaExceededError, FailureKind.QUOTA),
    (FileTooLargeError, FailureKind.TOO_LARGE),
    (BodyIncompleteError, FailureKind.BROKEN_OFF),
    (TemporaryError, FailureKind.GATEWAY),
    (GatewayError, FailureKind.INVALID),
)


def kind_of(exc: BaseException) -> FailureKind:
    """Return whose turn it is after an upload that failed so."""
    return next((kind for error, kind in _KINDS if isinstance(exc, error)), FailureKind.GATEWAY)
