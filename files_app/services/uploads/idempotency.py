"""`Idempotency-Key` on uploads: the same key and the same request give the same answer, for a day.

The key belongs to the organization. Only successes are kept: a refused upload left nothing behind, so that
the same key may be used for the corrected one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from files_app.exceptions import ConflictError, InvalidRequestError, UnprocessableError
from files_app.models import File, FileState, IdempotencyRecord, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import select_account
from files_app.services.accounts.shares import take_place
from files_app.services.index.transactions import release_connection
from files_app.services.uploads.begin import rules_for, upload_file
from files_app.services.uploads.failure import give_up_upload
from files_app.services.uploads.request import UploadObserver, UploadRequest
from files_app.streams.checks import UploadChecks
from providers.objects import FilePart

_RETRY_AFTER_SECONDS = 5.0
#: Between the claim of a key and the first row of its upload lie some milliseconds, or the arrival of a small
#: body. One that takes longer may lose its key to a repetition, and is then refused.
_CLAIM_LEASE = timedelta(minutes=1)


def check_key(key: str) -> str:
    """Return a usable key. Raises InvalidRequestError."""
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise InvalidRequestError(
            "An Idempotency-Key has 1 to 255 printable ASCII characters.", param="Idempotency-Key"
        )
    return key


def upload_once(
    request: UploadRequest, key: str, describe: Callable[[File], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Upload, or answer again what the first upload with this key was answered.

    describe: makes the file object of the answer.
    Raises ConflictError while the first one is running, UnprocessableError when this is another request.
    """
    record, is_new = _claim(request.caller.organization_id, check_key(key))
    if not is_new:
        return _replay(request, record)
    keeper = _Keeper(record, request, describe)
    try:
        # The key says more than the SDK's counter.
        upload_file(replace(request, sdk_retry_count=0), keeper)
    except BaseException:
        # What went wrong first is what the client has to know.
        with suppress(OperationalError, InterfaceError):
            keeper.record.filter(response__isnull=True).delete()
        raise
    return keeper.answer


class _Keeper(UploadObserver):
    """Ties a record to its upload: the key is used up in the commit that makes the file available."""

    def __init__(
        self,
        record: IdempotencyRecord,
        request: UploadRequest,
        describe: Callable[[File], Mapping[str, Any]],
    ) -> None:
        self.record = IdempotencyRecord.objects.filter(pk=record.pk, token=record.token)
        self.answer: Mapping[str, Any] = {}
        self._request = request
        self._describe = describe
        self._fingerprint = ""

    def begun(self, file: File) -> None:
        """Name the upload that holds the key."""
        if not self.record.update(file=file):
            raise _in_use()  # it took this one so long to begin that another has taken over

    def judged(self, checks: UploadChecks, account: ProviderAccount) -> None:
        """Note what was asked."""
        self._fingerprint = _fingerprint(checks, account, self._request)

    def settled(self, file: File) -> None:
        """Write the answer down."""
        self.answer = dict(self._describe(file))
        if not self.record.update(fingerprint=self._fingerprint, response=self.answer):
            raise _in_use()


def _in_use() -> ConflictError:
    return ConflictError(
        "The first request with this Idempotency-Key is still running.",
        param="Idempotency-Key",
        code="idempotency_key_in_use",
        retry_after_seconds=_RETRY_AFTER_SECONDS,
    )


def _claim(organization_id: int, key: str) -> tuple[IdempotencyRecord, bool]:
    """Return the record of the key, and whether it is ours to fill. Raises ConflictError."""
    now = timezone.now()
    try:
        with transaction.atomic():
            return (
                IdempotencyRecord.objects.create(
                    organization_id=organization_id,
                    key=key,
                    token=secrets.token_hex(16),
                    lease_expires_at=now + _CLAIM_LEASE,
                ),
                True,
            )
    except IntegrityError:
        rows = IdempotencyRecord.objects.filter(organization_id=organization_id, key=key)
        record = rows.select_related("file").first()
    if record is None:  # the upload that held the key has failed meanwhile
        return _claim(organization_id, key)
    same = IdempotencyRecord.objects.filter(pk=record.pk, token=record.token)
    if record.created_at < now - timedelta(seconds=settings.IDEMPOTENCY_TTL_SECONDS):
        same.delete()
        return _claim(organization_id, key)
    if _is_abandoned(record):
        same.filter(response__isnull=True).delete()  # it may have come to its end a moment ago
        return _claim(organization_id, key)
    if record.response is None:
        raise _in_use()
    return record, False


def _is_abandoned(record: IdempotencyRecord) -> bool:
    """Whether the first request died without an answer. Its upload then cannot succeed any more."""
    if record.response is not None:
        return False
    file = record.file
    if file is None:
        return record.lease_expires_at < timezone.now()
    if give_up_upload(file.pk):
        return True
    file.refresh_from_db()
    return file.state != FileState.UPLOADING


def _replay(request: UploadRequest, record: IdempotencyRecord) -> Mapping[str, Any]:
    """Read the body without any provider, to know whether it is the same request."""
    account = select_account(request.caller.organization_id, request.account_name)
    organization = Organization.objects.get(pk=request.caller.organization_id)
    checks = UploadChecks(rules_for(organization, driver_for(account), request.source, model=request.model))
    with take_place(account, request.caller):
        release_connection()
        for part in checks.run(request.source.parts()):
            if isinstance(part, FilePart):
                for _ in part.chunks:
                    checks.take()  # and drop
    if _fingerprint(checks, account, request) != record.fingerprint:
        raise UnprocessableError(
            "This Idempotency-Key was used for another request. Use a new key for a new upload.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )
    return record.response or {}


def _fingerprint(checks: UploadChecks, account: ProviderAccount, request: UploadRequest) -> str:
    facts: list[Any] = [
        account.pk,
        checks.filename,
        checks.purpose,
        checks.expires_after_seconds,
        checks.digest.sha256,
        sorted(request.metadata.items()),
    ]
    if request.dialect:
        facts.append(request.dialect)
    if request.model is not None:
        facts.append({"model": request.model})
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
