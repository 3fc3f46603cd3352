"""The first transaction of an upload: room for it is reserved and its row written."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from files_app.exceptions import TemporaryError
from files_app.models import File, FileCopy, ProviderAccount
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.index.all_or_nothing import NotAsExpectedError, all_or_nothing
from files_app.services.index.callers import Caller
from files_app.services.index.ids import new_file_id
from files_app.services.index.leases import lease_end
from files_app.services.index.recent import recent_organization
from files_app.services.index.rows import maker
from files_app.services.index.statements import (
    LastInserted,
    Outcome,
    Run,
    Statement,
    all_of,
    parameter,
    together,
)
from files_app.services.uploads.request import NOBODY, UploadObserver, UploadRequest
from files_app.services.uploads.reservation import require_reserved, reserving
from files_app.services.uploads.running import require_place, room_for_one_more, running_uploads


def open_upload(
    request: UploadRequest,
    account: ProviderAccount,
    observer: UploadObserver,
    *,
    reserved_bytes: int,
    filename: str = "",
    size: int = 0,
) -> tuple[File, FileCopy]:
    """Reserve bytes and write the row of an upload, as `uploading`, with its copy.

    filename, size: of the file, where they are known by now: what to look for if the provider's answer is
    lost. Raises QuotaExceededError and NoPlaceError.
    """
    now = timezone.now()
    file = _new_file(
        organization_id=request.caller.organization_id,
        account_id=account.pk,
        api_key_id=request.caller.api_key_id,
        uploaded_by=request.caller.person[:150],
        file_id=new_file_id(),
        filename=filename,
        bytes=size,
        metadata=dict(request.metadata),
        created_at=now,
        indexed_at=now,
        state_changed_at=now,
        reserved_bytes=reserved_bytes,
        lease_token=secrets.token_hex(16),
    )
    copy = _new_copy(account_id=account.pk, created_at=now, state_changed_at=now)
    file.account = copy.account = account
    try:
        if observer is NOBODY:
            _write_at_once(file, copy, request.caller)
        else:
            with transaction.atomic():
                _write(file, copy, request.caller)
                observer.begun(file)
    except IntegrityError as exc:
        # Accounts are remembered for some seconds: this one, or its owner, was removed meanwhile.
        forget_recent_accounts()
        recent_organization.forget()
        raise TemporaryError("The provider account is just being removed. Send the file again.") from exc
    return file, copy


def _write_at_once(file: File, copy: FileCopy, caller: Caller) -> None:
    """Reserve and write both rows in one round trip; where there is no room, look which was missing."""
    try:
        *_, file_row, copy_row = all_or_nothing(
            reserving(file.organization_id, file.reserved_bytes),
            *room_for_one_more(caller),
            *_rows(file, copy),
        )
    except NotAsExpectedError:
        with transaction.atomic():
            _write(file, copy, caller)
    else:
        _note_keys(file, copy, file_row, copy_row)


def _write(file: File, copy: FileCopy, caller: Caller) -> None:
    """Reserve and write both rows, inside the caller's transaction."""
    reserved, *running, file_row, copy_row = together(
        reserving(file.organization_id, file.reserved_bytes), *running_uploads(caller), *_rows(file, copy)
    )
    # What is refused now is undone with the transaction.
    require_reserved(file.organization_id, file.reserved_bytes, reserved)
    require_place(caller, running)
    _note_keys(file, copy, file_row, copy_row)


def _rows(file: File, copy: FileCopy) -> tuple[Run, Run]:
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    return (
        _INSERT_FILE.with_values(lease=lease, **{name: getattr(file, name) for name in _FILE_COLUMNS}),
        _INSERT_COPY.with_values(**{name: getattr(copy, name) for name in _COPY_COLUMNS}),
    )


def _note_keys(file: File, copy: FileCopy, file_row: Outcome, copy_row: Outcome) -> None:
    """Let the instances know which rows they have."""
    file.pk = copy.file_id = file_row.row[0]
    copy.pk = copy_row.row[0]


_new_file, _new_copy = maker(File), maker(FileCopy)
#: What differs between the rows of two uploads that begin; the others are the same in all.
_FILE_COLUMNS = (
    *("organization_id", "account_id", "api_key_id", "uploaded_by", "file_id", "filename", "bytes"),
    *("metadata", "created_at", "indexed_at", "state_changed_at", "reserved_bytes", "lease_token"),
)
_COPY_COLUMNS = ("account_id", "created_at", "state_changed_at")


_INSERT_FILE = Statement(
    lambda: File(
        **all_of(File, *_FILE_COLUMNS),
        lease_expires_at=lease_end(parameter("lease", models.DurationField())),
    ).save(force_insert=True)
)
_INSERT_COPY = Statement(
    lambda: FileCopy(file_id=LastInserted(File), **all_of(FileCopy, *_COPY_COLUMNS)).save(force_insert=True)
)
