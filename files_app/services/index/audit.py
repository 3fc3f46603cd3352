"""Writes the audit trail, in the transaction of the change that it tells of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.utils import timezone

from files_app.models import AuditAction, AuditEvent, File
from files_app.services.index.callers import Caller
from files_app.services.index.statements import Run, Statement, all_of, together


def record(caller: Caller, action: AuditAction, **facts: Any) -> None:
    """Append one event; `facts` are those of `event`."""
    together(event(caller, action, **facts))


def event(
    caller: Caller,
    action: AuditAction,
    *,
    object_type: str = "",
    object_id: str = "",
    account_name: str = "",
    result: str = "ok",
    **details: Any,
) -> Run:
    """Return what appends one event, to be run with others. `details` must hold no secret."""
    return _INSERT.with_values(
        created_at=timezone.now(),
        organization_id=caller.organization_id or None,
        actor_type=caller.actor_type,
        actor=caller.actor[:150],
        action=AuditAction(action).value,
        object_type=object_type,
        object_id=object_id[:255],
        account_name=account_name,
        result=result[:64],
        ip=caller.ip,
        request_id=caller.request_id[:64],
        details=details,
    )


_COLUMNS = [field.attname for field in AuditEvent._meta.concrete_fields if not field.primary_key]
_INSERT = Statement(lambda: AuditEvent(**all_of(AuditEvent, *_COLUMNS)).save(force_insert=True))


def record_file(caller: Caller, action: AuditAction, file: File, **facts: Any) -> None:
    """Append one event about a file; `facts` are those of `event`."""
    together(_file_event(caller, action, file, **facts))


def record_files(caller: Caller, action: AuditAction, files: Iterable[File], **facts: Any) -> None:
    """Append an event about each file, for its own organization, in one round trip."""
    events = [
        _file_event(replace(caller, organization_id=file.organization_id), action, file, **facts)
        for file in files
    ]
    if events:
        together(*events)


def _file_event(caller: Caller, action: AuditAction, file: File, **facts: Any) -> Run:
    about = {"object_type": "file", "object_id": file.file_id, "account_name": file.account.name}
    return event(caller, action, **about, **facts)
