"""Writes what webhooks tell, in the transaction of the change that it tells of.

Only for organizations that have an endpoint, which `recent_organization` knows: for all others nothing here
turns to the database. An endpoint that is new counts in every process after `recent.SECONDS`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models import EventKind, File, Organization, WebhookDelivery, WebhookEndpoint
from files_app.models.files import FileQuerySet
from files_app.models.webhooks import GIVE_UP_AFTER
from files_app.services.index.broker import hint
from files_app.services.index.file_objects import file_members
from files_app.services.index.recent import recent_organization
from providers.objects import RemoteFile

#: Shares of the quota in use, in percent, that are told when they are reached.
QUOTA_THRESHOLDS: Final = (80, 95, 100)


def are_told(organization_id: int) -> bool:
    """Whether the organization has an endpoint that is on."""
    return bool(vars(recent_organization(organization_id))["has_webhooks"])


def record(organization_id: int, kind: EventKind, data: Mapping[str, Any]) -> None:
    """Let the organization's endpoints that asked for it be told, inside the caller's transaction."""
    if not are_told(organization_id):
        return
    endpoints = WebhookEndpoint.objects.filter(organization=organization_id, is_enabled=True)
    asked = [pk for pk, kinds in endpoints.values_list("pk", "kinds") if kind in kinds]
    if asked:
        write(asked, kind, data)


def write(endpoints: list[int], kind: EventKind, data: Mapping[str, Any]) -> list[WebhookDelivery]:
    """Write one event for endpoints, by their primary keys, and return the deliveries."""
    now = timezone.now()
    body = json.dumps({"type": kind.value, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
    message_id = f"msg_{secrets.token_hex(14)}"
    rows = [
        WebhookDelivery(
            endpoint_id=pk,
            message_id=message_id,
            kind=kind,
            payload=body,
            created_at=now,
            next_attempt_at=Now(),
            give_up_at=now + GIVE_UP_AFTER,
        )
        for pk in endpoints
    ]
    written = WebhookDelivery.objects.bulk_create(rows)
    for pk in endpoints:
        send_after_commit(pk)
    return written


def send_after_commit(endpoint_pk: int) -> None:
    """Ask a worker to send at once. Only a hint: the outbox finds what stays due."""
    transaction.on_commit(lambda: hint("deliver_webhooks", endpoint_pk), robust=True)


def file_event(kind: EventKind, file: File, **instead: Any) -> None:
    """Tell of a file: its file object, with members as `instead` says them, but for its content."""
    if are_told(file.organization_id):
        record(file.organization_id, kind, file_members(file) | instead)


def file_created(file: File) -> None:
    """Tell that clients have a file from now on, and where it has filled the quota up to a threshold."""
    if are_told(file.organization_id):
        file_event(EventKind.FILE_CREATED, file)
        note_quota(file.organization_id)


def file_failed(file: File, reason: str, **instead: Any) -> None:
    """Tell of an upload that failed after it had begun, or of a file that its provider cannot use."""
    said = {"status": "error", "status_details": reason[:500] or None, **instead}
    file_event(EventKind.FILE_FAILED, file, **said)


def status_changed(file: File) -> None:
    """Tell that a provider is done with a file, for good or bad. Any other status is no news."""
    if file.status == "processed":
        file_event(EventKind.FILE_PROCESSED, file)
    elif file.status == "error":
        file_failed(file, file.status_details)


def take_status(rows: FileQuerySet, file: File, remote: RemoteFile) -> bool:
    """Write down what a provider says of the status of `file`, which is all of `rows`, and tell of it.

    False where it is no news.
    """
    if not are_told(file.organization_id):
        return rows.take_status(remote)
    with transaction.atomic():
        if not rows.take_status(remote):
            return False
        file.status, file.status_details = remote.status, (remote.status_details or "")[:500]
        status_changed(file)
    return True


def note_quota(organization_id: int) -> None:
    """Tell each threshold of the quota that was crossed upwards since the last time, inside a transaction.

    Below a threshold it is armed again. Of two processes that notice one crossing, one tells of it.
    """
    columns = ("name", "used_bytes", "quota_bytes", "quota_told")
    row = Organization.objects.filter(pk=organization_id).values_list(*columns).first()
    if row is None:
        return
    name, used, quota, told = row
    reached = [each for each in QUOTA_THRESHOLDS if used * 100 >= each * quota and used > 0]
    level = max(reached, default=0)
    if level == told:
        return
    moved = Organization.objects.filter(pk=organization_id, quota_told=told).update(quota_told=level)
    for threshold in reached if moved else ():
        if threshold > told:
            data = {"object": "organization", "name": name, "threshold_percent": threshold}
            data |= {"used_bytes": used, "quota_bytes": quota}
            record(organization_id, EventKind.ORGANIZATION_QUOTA, data)


def account_data(name: str, driver: str, since: datetime, error: str | None) -> dict[str, Any]:
    """Return what is told of an account; `error` None where it is the operator's and not for tenants."""
    shown: dict[str, Any] = {"object": "account", "name": name, "driver": driver}
    shown["since"] = since.isoformat()
    return shown if error is None else {**shown, "error": error}
