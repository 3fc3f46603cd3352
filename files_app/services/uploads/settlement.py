"""The good end of an upload: one transaction makes the file available, exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils import timezone

from files_app.exceptions import TemporaryError
from files_app.models import AuditAction, CopyState, File, FileCopy, FileState, Organization
from files_app.models.files import FileQuerySet, believed
from files_app.services.index import audit, events
from files_app.services.index.all_or_nothing import NotAsExpectedError, all_or_nothing, demand
from files_app.services.index.metering import spans
from files_app.services.index.statements import Run, Statement, all_of, of, parameter, together
from files_app.services.index.transactions import database_time
from files_app.services.uploads.failure import abandon_upload
from files_app.services.uploads.request import NOBODY, RunningUpload
from files_app.services.uploads.reservation import UploadLeaseLostError, quota_exceeded
from files_app.streams.checks import UploadChecks
from providers.objects import RemoteFile


def settle(upload: RunningUpload, checks: UploadChecks, remote: RemoteFile) -> File:
    """Make an upload's file available as the provider answered, and return it. Safe to repeat.

    Raises UploadLeaseLostError when the sweeper was faster, QuotaExceededError, TemporaryError, and
    IntegrityError when the provider answered with the id of another file.
    """
    return _Settlement(upload, checks, remote).run()


_ANSWERED_WITHIN = timedelta(minutes=1)
#: What a file has no more whose upload is over.
_AT_REST: Final[dict[str, Any]] = {"reserved_bytes": 0, "lease_token": "", "lease_expires_at": None}
#: What an upload's end says of its file, and of its copy.
_SAID_OF_FILE = (
    *("file_id", "filename", "purpose", "content_type", "bytes", "sha256", "uri", "batch", "status"),
    *("status_details", "created_at", "indexed_at", "state_changed_at", "expires_at"),
    "provider_expires_at",
)
_SAID_OF_COPY = ("remote_id", "is_shared_remote", "state_changed_at")


_SETTLE_FILE = Statement(
    lambda: File.objects.filter(
        pk=parameter("pk", models.BigAutoField()), lease_token=parameter("held_token", models.CharField())
    ).to(FileState.AVAILABLE, origin=FileState.UPLOADING, **(all_of(File, *_SAID_OF_FILE) | _AT_REST))
)
_SETTLE_COPY = Statement(
    lambda: FileCopy.objects.filter(pk=parameter("pk", models.BigAutoField())).to(
        CopyState.AVAILABLE, origin=CopyState.UPLOADING, **all_of(FileCopy, *_SAID_OF_COPY)
    )
)
_SETTLE_USAGE = Statement(
    lambda: Organization.objects.settle(of(Organization, "id"), parameter("bytes", models.BigIntegerField()))
)


class _Settlement:
    def __init__(self, upload: RunningUpload, checks: UploadChecks, remote: RemoteFile) -> None:
        self._upload = upload
        self._checks = checks
        self._remote = remote

    def run(self) -> File:
        try:
            return self._settle_once()
        except IntegrityError:
            # A sync that ran meanwhile may have taken the new file for one made elsewhere: the upload wins.
            adopted = self._own_files().filter(
                is_adopted=True,
                is_held=False,
                copies__account=self._upload.account,
                copies__remote_id=self._remote.remote_id,
            )
            with transaction.atomic():
                is_taken_back = spans.delete(adopted)
            if is_taken_back:
                return self._settle_once()
            if self._upload.driver.capabilities.deduplicates and (twin := self._join()):
                return twin
            raise

    def _settle_once(self) -> File:
        values = self._settled_values()
        if not self._remote.deduplicated:
            with suppress(NotAsExpectedError):
                return self._settle_at_once(values)
        with transaction.atomic():
            return self._settle_with_care(values)

    def _settle_at_once(self, values: Mapping[str, Any]) -> File:
        """Say everything at once, or nothing where anything is not as nearly always."""
        steps = self._of_file(values), self._of_copy(values), self._of_usage(values), self._event(values)
        upload = self._upload
        if upload.observer is NOBODY and not events.are_told(upload.file.organization_id):
            all_or_nothing(*steps)
            return self._settled(values)
        with transaction.atomic():
            demand(*steps)
            return self._told(values)

    def _settle_with_care(self, values: Mapping[str, Any]) -> File:
        upload = self._upload
        [file] = together(self._of_file(values))
        if not file.changed and not self._was_settled():
            raise UploadLeaseLostError
        if self._remote.deduplicated and self._is_going():
            raise TemporaryError(
                f"{upload.driver.label} has these bytes, but is just deleting them. Send the file again."
            )
        [copy] = together(self._of_copy(values))
        if copy.changed:
            [usage] = together(self._of_usage(values))
            if not usage.changed:
                raise quota_exceeded(upload.file.organization_id, values["bytes"])
            together(self._event(values))
        return self._told(values)

    def _told(self, values: Mapping[str, Any]) -> File:
        """Return the file as its row says, and tell who takes part, in the transaction that wrote it."""
        file = self._settled(values)
        self._upload.observer.settled(file)
        events.file_created(file)
        return file

    def _settled(self, values: Mapping[str, Any]) -> File:
        """Bring the instance up to what its row says."""
        file = self._upload.file
        for name, value in {**values, **_AT_REST, "state": FileState.AVAILABLE}.items():
            setattr(file, name, value)
        return file

    def _of_file(self, values: Mapping[str, Any]) -> Run:
        upload = self._upload
        return _SETTLE_FILE.with_values(pk=upload.file.pk, held_token=upload.lease_token, **values)

    def _of_copy(self, values: Mapping[str, Any]) -> Run:
        return _SETTLE_COPY.with_values(
            pk=self._upload.copy.pk,
            remote_id=self._remote.remote_id,
            is_shared_remote=self._remote.deduplicated,
            state_changed_at=values["state_changed_at"],
        )

    def _of_usage(self, values: Mapping[str, Any]) -> Run:
        return _SETTLE_USAGE.with_values(id=self._upload.file.organization_id, bytes=values["bytes"])

    def _event(self, values: Mapping[str, Any]) -> Run:
        return audit.event(
            self._upload.request.caller,
            AuditAction.FILE_CREATE,
            object_type="file",
            object_id=values["file_id"],
            account_name=self._upload.account.name,
            bytes=values["bytes"],
            purpose=values["purpose"],
        )

    def _settled_values(self) -> dict[str, Any]:
        now, checks, remote = timezone.now(), self._checks, self._remote
        # The time of a file that was there before is that of somebody else's upload.
        created_at = now if remote.deduplicated else believed(remote.created_at, now)
        return {
            "file_id": self._upload.file.file_id if self._upload.driver.names_files else remote.remote_id,
            "filename": checks.filename,
            "purpose": checks.purpose,
            "content_type": checks.content_type,
            "bytes": checks.size,
            "sha256": checks.digest.sha256,
            "uri": remote.uri or "",
            "batch": remote.batch,
            "status": remote.status,
            "status_details": remote.status_details or "",
            "created_at": created_at,
            "indexed_at": now,
            "state_changed_at": now,
            "expires_at": self._expiry(created_at, now),
            "provider_expires_at": self._upload.driver.deletes_at(remote, created_at=created_at),
        }

    def _expiry(self, created_at: datetime, now: datetime) -> datetime | None:
        """Return the provider's word where it was told; else what the client asked for, if that is sooner.

        The operator's rules say the rest, by our clock: how long files live of which nobody said it, and at
        the longest.
        """
        # What lies between the provider's answer and now is no wrong clock.
        began = created_at if abs(now - created_at) < _ANSWERED_WITHIN else now
        life = self._checks.life
        asked = self._checks.expires_after_seconds is not None
        kept = life.longest_seconds if asked else life.unasked_seconds
        ends = [] if kept is None else [began + timedelta(seconds=kept)]
        return min(filter(None, (*ends, self._asked_or_told(created_at))), default=None)

    def _asked_or_told(self, created_at: datetime) -> datetime | None:
        told = self._remote.expires_at
        if self._checks.expires_after_seconds is None:
            return told
        if told is not None and self._upload.driver.capabilities.expiry.native:
            return told
        asked = created_at + timedelta(seconds=self._checks.expires_after_seconds)
        return min(asked, told) if told is not None else asked

    def _was_settled(self) -> bool:
        """Whether an earlier try has committed although its answer was lost."""
        return FileCopy.objects.filter(
            pk=self._upload.copy.pk, state=CopyState.AVAILABLE, remote_id=self._remote.remote_id
        ).exists()

    # -- a provider that has the bytes once ------------------------------------------------------------

    @transaction.atomic
    def _join(self) -> File | None:
        """Let the organization's own file of this id stand for the upload too; None when there is none.

        The provider has the bytes once, under one id, so that clients could not tell two files apart.
        """
        upload = self._upload
        held = self._own_files().filter(
            account=upload.account,
            file_id=self._remote.remote_id,
            state=FileState.AVAILABLE,
            is_withheld=False,
        )
        twin = held.select_for_update(of=("self",)).select_related("account").first()
        if twin is None:
            return None
        now = timezone.now()
        expires_at = self._expiry(now, now)
        if twin.expires_at is not None and (expires_at is None or expires_at > twin.expires_at):
            File.objects.filter(pk=twin.pk).update(expires_at=expires_at)
            twin.expires_at = expires_at
        caller = upload.request.caller
        abandon_upload(upload.file, upload.copy, caller=caller, reason="", may_be_stored=False)
        audit.record_file(caller, AuditAction.FILE_CREATE, twin, result="joined", bytes=twin.bytes)
        upload.observer.settled(twin)
        return twin

    def _is_going(self) -> bool:
        """Whether a delete of the remote file is under way, or was since the upload began."""
        here = FileCopy.objects.at(self._upload.account, [self._remote.remote_id])
        here = here.exclude(pk=self._upload.copy.pk)
        # Holds up deletes that have not begun, and waits for those that are not committed: they then see this
        # copy.
        holding = here.filter(state__in=[CopyState.AVAILABLE, CopyState.DELETING])
        list(holding.select_for_update(of=("self",)).values_list("pk"))
        at_work = Q(state=CopyState.DELETING, lease_expires_at__gt=database_time(plus_seconds=0))
        done = Q(state=CopyState.DELETED, state_changed_at__gte=self._upload.copy.created_at)
        return here.filter(at_work | done).exists()

    def _own_files(self) -> FileQuerySet:
        return File.objects.for_organization(self._upload.file.organization_id)
