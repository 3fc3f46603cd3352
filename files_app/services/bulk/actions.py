"""What a job does to one file, through the service that does it to one file anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError
from files_app.models import AuditEvent, DeletedReason, File, FileState, JobKind
from files_app.models.states import DELETABLE_STATES
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import set_expiry
from files_app.services.deletes.failed import remove_failed
from files_app.services.index.callers import Caller
from files_app.services.upstream.recheck import recheck_file

MAY_BE_ANOTHERS = "It may be another organization's. Confirm its account first."

Act = Callable[[File, Caller, Mapping[str, Any]], str]


def delete(file: File, caller: Caller, arguments: Mapping[str, Any]) -> str:
    """Delete a file, or take a failed upload off the list, and say so.

    arguments: `reason`, a DeletedReason, where it is not the client's. Raises GatewayError and ProviderError.
    """
    refuse_kept(file, caller.actor_type)
    if file.state == FileState.FAILED:
        remove_failed(file, caller=caller)
        return "taken off the list"
    outbox.delete_file(file, caller=caller, reason=reason_in(arguments))
    return deleted(file, caller.actor_type)


def refuse_kept(file: File, actor_type: str) -> None:
    """Raise GatewayError where a file's state or owner forbids its deletion.

    actor_type: whose job it is. A client reads no more of a file than in the answer to a delete of its own.
    """
    if actor_type == AuditEvent.Actor.API_KEY and (file.state not in DELETABLE_STATES or file.is_withheld):
        raise FileNotFoundInIndexError(file.file_id)
    if file.state not in (*DELETABLE_STATES, FileState.FAILED):
        raise InvalidRequestError(
            f"Only stored, lost and failed files can be deleted; this one is {file.state}."
        )
    if file.is_withheld and file.state != FileState.FAILED:
        raise InvalidRequestError(MAY_BE_ANOTHERS)


def reason_in(arguments: Mapping[str, Any]) -> DeletedReason:
    """Return why the files of a job are deleted."""
    return DeletedReason(arguments.get("reason", DeletedReason.ADMIN))


def deleted(file: File, actor_type: str) -> str:
    """Say where a file is that was just deleted; nothing to a client, for whom it is gone."""
    if actor_type == AuditEvent.Actor.API_KEY:
        return ""
    return "in the trash" if file.trash_ends_at else "deleted; its provider follows"


def expire(file: File, caller: Caller, arguments: Mapping[str, Any]) -> str:
    """Set when the gateway deletes a file. arguments: `expires_at` in ISO 8601, None for never."""
    when = end_in(arguments)
    set_expiry(file, when, caller=caller)
    return ending(when)


def end_in(arguments: Mapping[str, Any]) -> datetime | None:
    """Return when the files of a job shall expire; None for never."""
    expires_at = arguments.get("expires_at")
    return datetime.fromisoformat(expires_at) if expires_at else None


def ending(when: datetime | None) -> str:
    """Say when a file expires from now on."""
    return f"expires {when:%Y-%m-%d %H:%M} UTC" if when else "never expires"


def recheck(file: File, caller: Caller, arguments: Mapping[str, Any]) -> str:
    """Ask a file's provider whether it still has it."""
    if file.state not in (FileState.AVAILABLE, FileState.LOST, FileState.TRASHED):
        raise FileNotFoundInIndexError(file.file_id)
    return recheck_file(file, caller=caller)


ACTIONS: Mapping[str, Act] = {JobKind.DELETE: delete, JobKind.EXPIRE: expire, JobKind.RECHECK: recheck}
#: Asks a provider: no transaction is held meanwhile. Twice for a file does no harm.
ASKING = frozenset({JobKind.RECHECK})
