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

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from files_app.exceptions import ConflictError, InvalidRequestError, UnprocessableError
from files_app.models import File, IdempotencyRecord, Organization, ProviderAccount
from files_app.services.accounts import driver_for, select_account
from files_app.services.database import persistently, release_connection
from files_app.services.uploads import UploadRequest, rules_for, upload_file
from files_app.streams.checks import UploadChecks
from providers.objects import FilePart

log = structlog.get_logger(__name__)

_RETRY_AFTER_SECONDS = 5.0
_IN_FLIGHT_LEASE = timedelta(hours=1)


def check_key(key: str) -> str:
    """Return a usable key. Raises InvalidRequestError."""
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise InvalidRequestError(
            "An Idempotency-Key has 1 to 255 printable ASCII characters.", param="Idempotency-Key"
        )
    return key


def upload_once(
    request: UploadRequest, key: str, describe: Callable[[File], dict[str, Any]]
) -> Mapping[str, Any]:
    """Upload, or answer again what the first upload with this key was answered.

    describe: makes the file object of the answer.
    Raises ConflictError while the first one is running, UnprocessableError when this is another request.
    """
    record, is_new = _claim(request.caller.organization_id, check_key(key))
    if not is_new:
        return _replay(request, record)
    fingerprints: list[str] = []
    try:
        file = upload_file(
            replace(request, sdk_retry_count=0),  # the key says more than the SDK's counter
            on_verdict=lambda checks, account: fingerprints.append(_fingerprint(checks, account, request)),
        )
        answer = describe(file)
    except BaseException:
        with suppress(
            OperationalError, InterfaceError
        ):  # what went wrong first is what the client has to know
            IdempotencyRecord.objects.filter(pk=record.pk, token=record.token, response__isnull=True).delete()
        raise
    _keep(record, fingerprints[0], answer)
    return answer


def _keep(record: IdempotencyRecord, fingerprint: str, answer: dict[str, Any]) -> None:
    """Write the answer down. The file is there: that its repetition may not be known is no reason to fail."""
    rows = IdempotencyRecord.objects.filter(pk=record.pk)
    try:
        persistently(lambda: rows.update(fingerprint=fingerprint, response=answer))
    except (OperationalError, InterfaceError) as exc:
        log.warning("idempotency_key_not_kept", error=type(exc).__name__)


def _claim(organization_id: int, key: str) -> tuple[IdempotencyRecord, bool]:
    now = timezone.now()
    try:
        with transaction.atomic():
            return (
                IdempotencyRecord.objects.create(
                    organization_id=organization_id,
                    key=key,
                    token=secrets.token_hex(16),
                    lease_expires_at=now + _IN_FLIGHT_LEASE,
                ),
                True,
            )
    except IntegrityError:
        known = IdempotencyRecord.objects.filter(organization_id=organization_id, key=key).first()
    if known is None:  # the upload that held the key has failed meanwhile
        return _claim(organization_id, key)
    record = known
    oldest = now - timedelta(seconds=settings.IDEMPOTENCY_TTL_SECONDS)
    is_over = record.created_at < oldest or (record.response is None and record.lease_expires_at < now)
    if is_over:
        IdempotencyRecord.objects.filter(pk=record.pk, token=record.token).delete()
        return _claim(organization_id, key)
    if record.response is None:
        raise ConflictError(
            "The first request with this Idempotency-Key is still running.",
            param="Idempotency-Key",
            code="idempotency_key_in_use",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
    return record, False


def _replay(request: UploadRequest, record: IdempotencyRecord) -> Mapping[str, Any]:
    """Read the body without any provider, to know whether it is the same request."""
    account = select_account(request.caller.organization_id, request.account_name)
    organization = Organization.objects.get(pk=request.caller.organization_id)
    checks = UploadChecks(rules_for(organization, driver_for(account), request.source))
    release_connection()
    for part in checks.run(request.source.parts()):
        if isinstance(part, FilePart):
            for _ in part.chunks:
                pass
    if _fingerprint(checks, account, request) != record.fingerprint:
        raise UnprocessableError(
            "This Idempotency-Key was used for another request. Use a new key for a new upload.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )
    return record.response or {}


def _fingerprint(checks: UploadChecks, account: ProviderAccount, request: UploadRequest) -> str:
    facts = [
        account.pk,
        checks.filename,
        checks.purpose,
        checks.expires_after_seconds,
        checks.digest.sha256,
        sorted(request.metadata.items()),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
