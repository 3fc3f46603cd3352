"""One running upload: stream, settle, and leave nothing behind when any of it fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from files_app.exceptions import GatewayError, TemporaryError
from files_app.models import File, FileCopy, Organization, ProviderAccount
from files_app.models.files import CopyState, FileState
from files_app.observability import metrics
from files_app.services.index import audit
from files_app.services.index.transactions import database_time, persistently
from files_app.services.uploads.failure import abandon_upload
from files_app.services.uploads.request import UploadObserver, UploadRequest
from files_app.services.uploads.reservation import Reservation, UploadLeaseLostError, quota_exceeded
from files_app.streams.checks import UploadChecks, UploadRules
from files_app.streams.spool import arranged
from providers.base import Driver
from providers.exceptions import InvalidResponseError, ProviderError, ProviderUnavailableError
from providers.objects import FilePart, Operation, RemoteFile, Upload, UploadPart

log = structlog.get_logger(__name__)

_MAX_EARLIER = 20
#: Providers round, and count from their own clocks.
_EXPIRY_TOLERANCE_SECONDS = 300


class AlreadyUploadedError(Exception):
    """The client sent again what it has uploaded minutes ago; `file` is the answer."""

    def __init__(self, file: File) -> None:
        super().__init__(file.file_id)
        self.file = file


class Transfer:
    """One running upload."""

    def __init__(
        self,
        request: UploadRequest,
        account: ProviderAccount,
        driver: Driver,
        rules: UploadRules,
        file: File,
        copy: FileCopy,
        bucket: str | None,
        observer: UploadObserver,
    ) -> None:
        self._request = request
        self._bucket = bucket
        self._account = account
        self._driver = driver
        self._file = file
        self._copy = copy
        self._observer = observer
        self._reservation = Reservation(file, slack_bytes=request.source.max_overhead_bytes)
        self._checks = UploadChecks(rules, on_bytes=self._reservation.note_progress)
        self._token = file.lease_token
        self._is_judged = False

    def run(self) -> File:
        try:
            remote = self._send()
        except AlreadyUploadedError as exc:
            self._abandon("", may_be_stored=False)
            return exc.file
        except BaseException as exc:
            self._abandon(_reason(exc), may_be_stored=self._may_be_stored(exc))
            raise
        return self._settle_or_compensate(remote)

    def _send(self) -> RemoteFile:
        parts = _up_to_file(self._judged(self._checks.run(self._request.source.parts())))
        with (
            arranged(
                parts,
                self._driver.capabilities,
                digest=lambda: self._checks.digest,
                directory=Path(settings.SPOOL_DIR),
                chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
                on_sent=self._reservation.keep_alive,
            ) as ordered,
            metrics.provider_operation(self._account.driver, Operation.CREATE),
        ):
            upload = Upload(
                file_id=self._file.file_id,
                namespace=self._file.organization.namespace,
                parts=ordered,
                metadata=self._request.metadata,
                digest=lambda: self._checks.digest,
                bucket=self._bucket,
            )
            return self._driver.create_file(upload)

    def _judged(self, parts: Iterator[UploadPart]) -> Iterator[UploadPart]:
        """Pass the parts on; at their end, decide whether the provider may get the end of the file."""
        yield from parts
        if self._request.sdk_retry_count > 0 and (earlier := self._earlier_upload()):
            raise AlreadyUploadedError(earlier)
        self._observer.judged(self._checks, self._account)
        self._reservation.make_exact(self._checks.size, filename=self._checks.filename or "")
        self._is_judged = True

    def _earlier_upload(self) -> File | None:
        """Return what the same key uploaded minutes ago, if this is the same file once more."""
        since = timezone.now() - timedelta(seconds=settings.SDK_RETRY_WINDOW_SECONDS)
        digest = self._checks.digest
        candidates = (
            File.objects.for_organization(self._file.organization_id)
            .live()
            .filter(
                api_key_id=self._request.caller.api_key_id,
                account=self._account,
                filename=self._checks.filename,
                purpose=self._checks.purpose,
                bytes=digest.bytes,
                sha256=digest.sha256,
                indexed_at__gt=since,
            )
            .newest_first()
            .select_related("account")[:_MAX_EARLIER]
        )
        return next((file for file in candidates if self._was_asked_for(file)), None)

    def _was_asked_for(self, earlier: File) -> bool:
        """Whether an earlier upload asked for the same metadata and the same time to live."""
        if earlier.metadata != dict(self._request.metadata):
            return False
        asked = self._checks.expires_after_seconds
        if earlier.expires_at is None:
            return asked is None
        expiry = self._driver.capabilities.expiry
        asked = asked or expiry.default_seconds
        if asked is None:  # a provider that knows expiry may have set it unasked, as OpenAI does for batches
            return expiry.native
        lives = (earlier.expires_at - earlier.created_at).total_seconds()
        return abs(lives - asked) < _EXPIRY_TOLERANCE_SECONDS

    def _may_be_stored(self, exc: BaseException) -> bool:
        """Whether the provider may have got the whole file, and did not say clearly that it refused it."""
        if not self._is_judged:
            return False
        if not isinstance(exc, ProviderError) or not exc.answered:
            return True
        was_served = isinstance(exc, ProviderUnavailableError) and exc.status_code is not None
        return was_served or isinstance(exc, InvalidResponseError)

    def _settle_or_compensate(self, remote: RemoteFile) -> File:
        try:
            return persistently(lambda: self._settle(remote))
        except IntegrityError:
            self._abandon("the provider answered with the id of another file", may_be_stored=False)
            raise InvalidResponseError(
                f"{self._driver.label} answered with the id of a file that exists already.",
                provider=self._account.name,
                operation=Operation.CREATE,
            ) from None
        except BaseException as exc:
            is_new = not remote.deduplicated
            self._abandon(_reason(exc), may_be_stored=is_new, remote_id=remote.remote_id if is_new else "")
            raise

    def _settle(self, remote: RemoteFile) -> File:
        try:
            return self._settle_once(remote)
        except IntegrityError:
            # A sync that ran meanwhile may have taken the new file for one made elsewhere: the upload wins.
            adopted = File.objects.for_organization(self._file.organization_id).filter(
                is_adopted=True, copies__account=self._account, copies__remote_id=remote.remote_id
            )
            if adopted.delete()[0]:
                return self._settle_once(remote)
            if self._driver.capabilities.deduplicates and (twin := self._join(remote)):
                return twin
            raise

    @transaction.atomic
    def _join(self, remote: RemoteFile) -> File | None:
        """Let the organization's own file of this id stand for the upload too; None when there is none.

        The provider has the bytes once, under one id, so that clients could not tell two files apart.
        """
        held = File.objects.for_organization(self._file.organization_id).filter(
            account=self._account, file_id=remote.remote_id, state=FileState.AVAILABLE
        )
        twin = held.select_for_update(of=("self",)).select_related("account").first()
        if twin is None:
            return None
        expires_at = self._expiry(remote, timezone.now())
        if twin.expires_at is not None and (expires_at is None or expires_at > twin.expires_at):
            File.objects.filter(pk=twin.pk).update(expires_at=expires_at)
            twin.expires_at = expires_at
        abandon_upload(self._file, self._copy, caller=self._request.caller, reason="", may_be_stored=False)
        audit.record_file(self._request.caller, "file.create", twin, result="joined", bytes=twin.bytes)
        self._observer.settled(twin)
        return twin

    @transaction.atomic
    def _settle_once(self, remote: RemoteFile) -> File:
        file, values = self._file, self._settled_values(remote)
        held = File.objects.filter(pk=file.pk, state=FileState.UPLOADING, lease_token=self._token)
        if not held.update(**values) and not self._was_settled(remote):
            raise UploadLeaseLostError
        if remote.deduplicated and self._is_going(remote):
            raise TemporaryError(
                f"{self._driver.label} has these bytes, but is just deleting them. Send the file again."
            )
        for name, value in values.items():
            setattr(file, name, value)
        changed = FileCopy.objects.filter(pk=self._copy.pk, state=CopyState.UPLOADING).update(
            state=CopyState.AVAILABLE,
            remote_id=remote.remote_id,
            is_shared_remote=remote.deduplicated,
            state_changed_at=file.state_changed_at,
        )
        if changed:
            if not Organization.objects.settle(file.organization_id, file.bytes):
                raise quota_exceeded(file.organization_id, file.bytes)
            audit.record_file(
                self._request.caller, "file.create", file, bytes=file.bytes, purpose=file.purpose
            )
        self._observer.settled(file)
        return file

    def _settled_values(self, remote: RemoteFile) -> dict[str, Any]:
        now, checks = timezone.now(), self._checks
        # The time of a file that was there before is that of somebody else's upload.
        created_at = now if remote.deduplicated else remote.created_at or now
        has_own_id = self._driver.capabilities.storage != "provider"
        return {
            "file_id": self._file.file_id if has_own_id else remote.remote_id,
            "filename": checks.filename,
            "purpose": checks.purpose,
            "content_type": checks.content_type,
            "bytes": checks.size,
            "sha256": checks.digest.sha256,
            "uri": remote.uri or "",
            "status": remote.status,
            "status_details": remote.status_details or "",
            "created_at": created_at,
            "indexed_at": now,
            "state_changed_at": now,
            "expires_at": self._expiry(remote, created_at),
            "state": FileState.AVAILABLE,
            "reserved_bytes": 0,
            "lease_token": "",
            "lease_expires_at": None,
        }

    def _is_going(self, remote: RemoteFile) -> bool:
        """Whether a delete of the remote file is under way, or was since the upload began."""
        here = FileCopy.objects.filter(
            account__location_digest=self._account.location_digest, remote_id=remote.remote_id
        ).exclude(pk=self._copy.pk)
        # Holds up deletes that have not begun, and waits for those that are not committed: they then see this
        # copy.
        holding = here.filter(state__in=[CopyState.AVAILABLE, CopyState.DELETING])
        list(holding.select_for_update(of=("self",)).values_list("pk"))
        at_work = Q(state=CopyState.DELETING, lease_expires_at__gt=database_time(plus_seconds=0))
        done = Q(state=CopyState.DELETED, state_changed_at__gte=self._copy.created_at)
        return here.filter(at_work | done).exists()

    def _was_settled(self, remote: RemoteFile) -> bool:
        """Whether an earlier try has committed although its answer was lost."""
        return FileCopy.objects.filter(
            pk=self._copy.pk, state=CopyState.AVAILABLE, remote_id=remote.remote_id
        ).exists()

    def _expiry(self, remote: RemoteFile, created_at: datetime) -> datetime | None:
        """Return the provider's word where it was told; else what the client asked for, if that is sooner."""
        if self._checks.expires_after_seconds is None:
            return remote.expires_at
        if remote.expires_at is not None and self._driver.capabilities.expiry.native:
            return remote.expires_at
        asked = created_at + timedelta(seconds=self._checks.expires_after_seconds)
        return min(asked, remote.expires_at) if remote.expires_at is not None else asked

    def _abandon(self, reason: str, *, may_be_stored: bool, remote_id: str = "") -> None:
        """Fail the upload, or leave that to the sweeper: the client is told what went wrong first."""
        try:
            persistently(
                lambda: abandon_upload(
                    self._file,
                    self._copy,
                    caller=self._request.caller,
                    reason=reason,
                    may_be_stored=may_be_stored,
                    remote_id=remote_id,
                    filename=self._checks.filename or "",
                    size=self._checks.size,
                )
            )
        except (OperationalError, InterfaceError, IntegrityError) as exc:
            log.warning("upload_left_to_sweep", file=self._file.pk, error=type(exc).__name__)


def _up_to_file(parts: Iterator[UploadPart]) -> Iterator[UploadPart]:
    """Read the fields in front of the file, so that what they make impossible costs the provider nothing."""
    head: list[UploadPart] = []
    for part in parts:
        head.append(part)
        if isinstance(part, FilePart):
            break
    return chain(head, parts)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, GatewayError | ProviderError):
        return exc.message
    return type(exc).__name__
