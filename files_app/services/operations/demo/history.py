"""What happened to a demo's organization in a month: uploads, downloads, failures and deletes that wait."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from django.utils import timezone

from files_app.models import (
    ApiKey,
    AuditAction,
    AuditEvent,
    CopyState,
    DeletedReason,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
)
from files_app.services.index.callers import Caller
from files_app.services.index.ids import new_file_id
from files_app.services.operations.demo.bills import write_traffic
from files_app.services.operations.demo.contents import sample_files
from files_app.services.operations.demo.world import FAILURES, NAMES, SILENT, TEAMS, DemoOrganization
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.request import UploadRequest
from files_app.streams.raw import RawSource

DAYS = 30
_LARGEST = 500 * 1024**2
#: An organization whose account does not answer has these deletes to wait for.
_WAITING = {"northwind": [CopyState.DELETING] * 5 + [CopyState.DEAD] * 2}
_COPY_STATES = {FileState.AVAILABLE: CopyState.AVAILABLE, FileState.DELETED: CopyState.DELETED}


def fill(
    plan: DemoOrganization,
    organization: Organization,
    accounts: Sequence[ProviderAccount],
    keys: Sequence[ApiKey],
    dice: Random,
) -> None:
    """Give the organization its files and its trail. The first account is on disk: its files are real."""
    disk, *others = accounts
    stored = list(_store(organization, disk, keys[0], dice))
    rows = [_row(organization, dice.choice(others), dice.choice(keys), dice) for _ in range(plan.files)]
    _resize(rows, round(plan.share * plan.quota_bytes) - sum(file.bytes for file in stored))
    File.objects.bulk_create(rows)
    FileCopy.objects.bulk_create(_copy(file) for file in rows)
    waiting = [_waiting(organization, others[0], state, dice) for state in _WAITING.get(plan.name, [])]
    AuditEvent.objects.forget_demo(organization)  # what making it has written
    events = [(file, event) for file in (*stored, *rows, *waiting) for event in _events(file, keys, dice)]
    AuditEvent.objects.bulk_create(event for _, event in events)
    write_traffic(events, keys)
    for place, key in enumerate(keys):
        used = timezone.now() - timedelta(minutes=4 + 50 * place)
        ApiKey.objects.filter(pk=key.pk).update(created_at=_before(DAYS), last_used_at=used)
    long_ago = _before(DAYS + 10)
    Organization.objects.filter(pk=organization.pk).update(created_at=long_ago)
    mine = ProviderAccount.objects.filter(organization=organization)
    mine.update(created_at=long_ago, credentials_changed_at=long_ago)


def _before(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def _moment(dice: Random) -> datetime:
    """Return a time of the month: more of late, fewer at weekends."""
    found = _before(DAYS * dice.random() ** 1.4)
    return found if found.weekday() < 5 or dice.random() < 0.35 else _before(DAYS * dice.random() ** 1.4)


def _store(organization: Organization, account: ProviderAccount, key: ApiKey, dice: Random) -> Iterator[File]:
    """Upload the samples as any client does, and date them back."""
    caller = Caller(organization.pk, api_key_id=key.pk, actor=key.name, ip="10.20.0.12")
    for name, purpose, content_type, content in sample_files():
        source = RawSource(io.BytesIO(content).read, len(content), name, content_type, purpose)
        metadata = {"team": dice.choice(TEAMS)}
        file = upload_file(UploadRequest(caller, source, account_name=account.name, metadata=metadata))
        made = _moment(dice)
        times = {"created_at": made, "indexed_at": made, "state_changed_at": made, "stored_from": made}
        File.objects.filter(pk=file.pk).update(**times)
        file.created_at = file.indexed_at = made
        yield file


def _row(organization: Organization, account: ProviderAccount, key: ApiKey | None, dice: Random) -> File:
    """Return a file that would be at a provider."""
    purpose = dice.choices(list(NAMES), [often for often, _ in NAMES.values()])[0]
    made = _moment(dice)
    name = dice.choice(NAMES[purpose][1])
    state = dice.choices([FileState.AVAILABLE, FileState.DELETED, FileState.FAILED], [88, 8, 4])[0]
    filename = name.format(n=dice.randint(100, 999), q=dice.randint(1, 4), day=f"{made:%Y-%m-%d}")
    file_id = new_file_id() if account.driver == "bedrock" else f"file-{dice.getrandbits(96):024x}"
    return File(
        organization=organization,
        account=account,
        api_key=key,
        file_id=file_id,
        filename=filename,
        purpose=purpose,
        content_type="application/jsonl" if filename.endswith("jsonl") else "application/octet-stream",
        bytes=0 if state == FileState.FAILED else int(dice.lognormvariate(15.5, 1.6)),
        sha256="" if state == FileState.FAILED else f"{dice.getrandbits(256):064x}",
        metadata={"team": dice.choice(TEAMS)} if dice.random() < 0.4 else {},
        state=state,
        deleted_reason=DeletedReason.USER if state == FileState.DELETED else "",
        failure=dice.choice(FAILURES) if state == FileState.FAILED else "",
        created_at=made,
        indexed_at=made,
        state_changed_at=min(timezone.now(), made + timedelta(days=dice.random())),
        expires_at=timezone.now() + timedelta(days=dice.uniform(3, 29)) if dice.random() < 0.3 else None,
    )


def _resize(rows: Sequence[File], wanted: int) -> None:
    """Stretch the sizes of what is stored until they make up `wanted` bytes."""
    held = [row for row in rows if row.state == FileState.AVAILABLE]
    for _ in range(12):
        factor = wanted / max(1, sum(row.bytes for row in held))
        for row in held:
            row.bytes = min(_LARGEST, max(1, round(row.bytes * factor)))


def _copy(file: File) -> FileCopy:
    state = _COPY_STATES.get(FileState(file.state), CopyState.FAILED)
    remote_id = "" if state == CopyState.FAILED else file.file_id
    return FileCopy(
        file=file, account=file.account, remote_id=remote_id, state=state, created_at=file.created_at
    )


def _waiting(organization: Organization, account: ProviderAccount, state: CopyState, dice: Random) -> File:
    """Return a deleted file whose provider has not followed."""
    file = _row(organization, account, None, dice)
    file.state, file.deleted_reason, file.failure = FileState.DELETING, DeletedReason.USER, ""
    file.save()
    since = _before(dice.uniform(0.1, 0.9))
    FileCopy.objects.create(
        file=file,
        account=account,
        remote_id=file.file_id,
        state=state,
        attempts=dice.randint(3, 12),
        next_attempt_at=None if state == CopyState.DEAD else timezone.now() + timedelta(minutes=5),
        first_attempt_at=since,
        last_error=SILENT,
        state_changed_at=since,
    )
    return file


def _events(file: File, keys: Sequence[ApiKey], dice: Random) -> Iterator[AuditEvent]:
    """Yield the upload of a file, its downloads, and its delete."""
    now, made = timezone.now(), file.indexed_at
    if file.state == FileState.FAILED:
        yield _event(file, keys[0], AuditAction.FILE_CREATE, made, dice, result="failed", reason=file.failure)
        return
    yield _event(file, keys[0], AuditAction.FILE_CREATE, made, dice, bytes=file.bytes, purpose=file.purpose)
    until = now if file.state == FileState.AVAILABLE else file.state_changed_at
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        read_at = made + min(until - made, timedelta(days=6)) * dice.random() ** 2
        yield _event(file, dice.choice(keys), AuditAction.FILE_CONTENT, read_at, dice, bytes=file.bytes)
    if file.state != FileState.AVAILABLE:
        yield _event(file, keys[0], AuditAction.FILE_DELETE, until, dice)


def _event(
    file: File,
    key: ApiKey,
    action: AuditAction,
    at: datetime,
    dice: Random,
    *,
    result: str = "ok",
    **details: str | int,
) -> AuditEvent:
    return AuditEvent(
        created_at=at,
        organization_id=file.organization_id,
        actor_type=AuditEvent.Actor.API_KEY,
        actor=key.name,
        action=action,
        object_type="file",
        object_id=file.file_id,
        account_name=file.account.name,
        result=result,
        ip=f"10.20.{dice.randint(0, 9)}.{dice.randint(2, 250)}",
        request_id=f"req_{dice.getrandbits(128):032x}",
        details=details,
    )
