"""The good end of an upload: one transaction makes the file available, exactly once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from files_app.exceptions import TemporaryError
from files_app.models import AuditAction, CopyState, File, FileCopy, FileState, Organization
from files_app.models.files import FileQuerySet, believed
from files_app.services.index import audit
from files_app.services.index.transactions import database_time
from files_app.services.uploads.failure import abandon_upload
from files_app.services.uploads.request import RunningUpload
from files_app.services.uploads.reservation import UploadLeaseLostError, quota_exceeded
from files_app.streams.checks import UploadChecks
from providers.objects import RemoteFile


def settle(upload: RunningUpload, checks: UploadChecks, remote: RemoteFile) -> File:
    """Make an upload's file available as the provider answered, and return it. Safe to repeat.

    Raises UploadLeaseLostError when the sweeper was faster, QuotaExceededError, TemporaryError, and
    IntegrityError when the provider answered with the id of another file.
    """
    return _Settlement(upload, checks, remote).run()


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
            if adopted.delete()[0]:
                return self._settle_once()
            if self._upload.driver.capabilities.deduplicates and (twin := self._join()):
                return twin
            raise

    @transaction.atomic
    def _settle_once(self) -> File:
        upload, remote = self._upload, self._remote
        file, values = upload.file, self._settled_values()
        held = File.objects.filter(pk=file.pk, lease_token=upload.lease_token)
        if not held.to(FileState.AVAILABLE, origin=FileState.UPLOADING, **values) and not self._was_settled():
            raise UploadLeaseLostError
        if remote.deduplicated and self._is_going():
            raise TemporaryError(
                f"{upload.driver.label} has these bytes, but is just deleting them. Send the file again."
            )
        for name, value in (values | {"state": FileState.AVAILABLE}).items():
            setattr(file, name, value)
        changed = FileCopy.objects.filter(pk=upload.copy.pk).to(
            CopyState.AVAILABLE,
            origin=CopyState.UPLOADING,
            remote_id=remote.remote_id,
            is_shared_remote=remote.deduplicated,
            state_changed_at=file.state_changed_at,
        )
        if changed:
            if not Organization.objects.settle(file.organization_id, file.bytes):
                raise quota_exceeded(file.organization_id, file.bytes)
            audit.record_file(
                upload.request.caller,
                AuditAction.FILE_CREATE,
                file,
                bytes=file.bytes,
                purpose=file.purpose,
            )
        upload.observer.settled(file)
        return file

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
            "expires_at": self._expiry(created_at),
            "provider_expires_at": remote.expires_at,
            "reserved_bytes": 0,
            "lease_token": "",
            "lease_expires_at": None,
        }

    def _expiry(self, created_at: datetime) -> datetime | None:
        """Return the provider's word where it was told; else what the client asked for, if that is sooner.

        The operator's rules say the rest: how long files live of which nobody said it, and at the longest.
        """
        life = self._upload.life(self._checks.purpose or "")
        asked = self._checks.expires_after_seconds is not None
        kept = life.longest_seconds if asked else life.unasked_seconds
        ends = [] if kept is None else [created_at + timedelta(seconds=kept)]
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
        expires_at = self._expiry(timezone.now())
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
