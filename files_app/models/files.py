"""The index of files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from files_app.filenames import clean_filename
from files_app.models.accounts import ProviderAccount
from files_app.models.organizations import ApiKey, Organization
from files_app.models.states import (
    FILE_TRANSITIONS,
    CopyState,
    FileState,
    StatefulModel,
    StatefulQuerySet,
    StateIs,
)
from providers.objects import FileStatus, RemoteFile

#: The status of a file that its provider still works on; the others are final.
UNFINISHED: FileStatus = "uploaded"
#: The status of nearly every file.
PROCESSED: FileStatus = "processed"
#: How far the wire's `created_at` may be from when the index got the file: a provider's clock may be wrong,
#: lists look for files by both times.
FARTHEST_CREATED_AT = timedelta(days=1)
#: What an index ends with that a list reads in its order.
_LISTED = ("state", "-indexed_at", "-id")
_MOMENT = models.DateTimeField()
#: States of files whose bytes may count no more, and since when those of such a file do not.
GONE_STATES = (FileState.TRASHED, FileState.DELETING, FileState.DELETED, FileState.LOST)
CEASED_AT = Coalesce("stored_until", "state_changed_at")
#: Files whose bytes began to count at another time than that of lists: found at a provider, or come back.
CAME_OTHERWISE = Q(stored_from__lt=F("indexed_at")) | Q(stored_from__gt=F("indexed_at"))


def believed(told: datetime | None, now: datetime) -> datetime:
    """Return the time that a provider says for a file that it just got; `now` where that cannot be."""
    return told if told is not None and abs(told - now) <= FARTHEST_CREATED_AT else now


class DeletedReason(models.TextChoices):
    """Why a file is gone."""

    USER = "user"
    EXPIRED = "expired"
    LOST = "lost"
    ADMIN = "admin"
    RETENTION = "retention"
    ERASED = "erased"


class FailureKind(models.TextChoices):
    """Who has to do what about a failed upload. Stored: never rename one."""

    CREDENTIALS = "credentials", "credentials refused"
    CONFIGURATION = "configuration", "account refused"
    UNAVAILABLE = "unavailable", "provider unavailable"
    RATE_LIMITED = "rate_limited", "provider's rate limit"
    REJECTED = "rejected", "refused by the provider"
    UNCLEAR = "unclear", "unclear answer"
    INVALID = "invalid", "not valid"
    TOO_LARGE = "too_large", "too large"
    QUOTA = "quota", "quota full"
    BROKEN_OFF = "broken_off", "client gone"
    STALLED = "stalled", "no progress"
    GATEWAY = "gateway", "gateway"


class ResultPart(models.TextChoices):
    """Which of OpenAI's two files of a batch result a file is."""

    OUTPUT = "output"
    ERRORS = "errors"


class FileQuerySet(StatefulQuerySet["File"]):
    """The one way to files: every lookup begins with the organization."""

    transitions = FILE_TRANSITIONS

    def to(self, state: str, *, origin: str | Iterable[str] | None = None, **values: Any) -> int:
        """Move files as every row moves, and write down from when and until when their bytes count."""
        changed_at = values.setdefault("state_changed_at", timezone.now())
        if state == FileState.AVAILABLE and origin == FileState.UPLOADING:
            values.setdefault("stored_from", changed_at)
        is_free = state == FileState.TRASHED and not values.get("is_counted_in_trash")
        if is_free or state in {FileState.LOST, FileState.DELETING}:
            # What was lost before the column was there has not counted since then.
            end = F("state_changed_at") if origin == FileState.LOST else Value(changed_at, _MOMENT)
            values.setdefault("stored_until", Coalesce("stored_until", end))
        if state == FileState.DELETED:  # an earlier version may have begun the delete
            values.setdefault("stored_until", Coalesce("stored_until", F("state_changed_at")))
        return super().to(state, origin=origin, **values)

    def for_organization(self, organization: Organization | int) -> FileQuerySet:
        """Return the files of one organization."""
        return self.filter(organization=organization)

    def live(self, now: datetime | None = None) -> FileQuerySet:
        """Return files that clients can see: available, not withheld, and not past their expiry."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now or timezone.now()),
            state=FileState.AVAILABLE,
            is_withheld=False,
        )

    def expired(self) -> FileQuerySet:
        """Return available files whose time is over, to be deleted.

        What may be somebody else's is never deleted, and what is on hold not now.
        """
        over = {"is_withheld": False, "is_held": False, "expires_at__lte": timezone.now()}
        return self.filter(state=FileState.AVAILABLE, **over)

    def trash_over(self) -> FileQuerySet:
        """Return what has been in the trash for its time, but for what is on hold or may be another's."""
        over = {"is_withheld": False, "is_held": False, "trash_ends_at__lte": timezone.now()}
        return self.filter(state=FileState.TRASHED, **over)

    def stuck(self) -> FileQuerySet:
        """Return uploads whose lease ran out, in database time."""
        return self.filter(state=FileState.UPLOADING, lease_expires_at__lt=Now())

    def running(self) -> FileQuerySet:
        """Return uploads whose lease holds, in database time."""
        return self.filter(state=FileState.UPLOADING, lease_expires_at__gte=Now())

    def unfinished(self) -> FileQuerySet:
        """Return files that their provider had not finished when it was asked last."""
        return self.filter(state=FileState.AVAILABLE, status=UNFINISHED, result_part="")

    def untranslated(self) -> FileQuerySet:
        """Return batch results that have no translation yet, or no more; one row for each."""
        return self.filter(state=FileState.AVAILABLE, status=UNFINISHED, result_part=ResultPart.OUTPUT)

    def translate_anew(self, file: File) -> int:
        """Let the result be read again of which `file` is a part, and return how many files wait for that.

        Until then they have no content. 0: its output file is deleted, and for the other alone nobody reads.
        """
        parts = self.filter(account=file.account_id, state=FileState.AVAILABLE).exclude(result_part="")
        parts = parts.filter(
            organization=file.organization_id, copies__remote_id__in=file.copies.values("remote_id")
        )
        found = dict(parts.values_list("pk", "result_part"))
        if ResultPart.OUTPUT not in found.values():
            return 0
        return self.filter(pk__in=found).update(status=UNFINISHED, status_ask_after=None)

    def take_status(self, remote: RemoteFile) -> bool:
        """Write down what a provider says of an available file's status; False where that is no news.

        Of a batch result the provider knows nothing: it has a translation or not.
        """
        details = (remote.status_details or "")[:500]
        stale = self.filter(~Q(status=remote.status, status_details=details), state=FileState.AVAILABLE)
        stale = stale.filter(result_part="")
        return bool(stale.update(status=remote.status, status_details=details))

    def index(
        self,
        remote: RemoteFile,
        *,
        file_id: str,
        organization_id: int,
        account: ProviderAccount,
        is_adopted: bool,
        result_part: str = "",
        provider_expires_at: datetime | None = None,
    ) -> File:
        """Write the file and the copy of what a provider has already, and return the file.

        is_adopted: made elsewhere; its bytes are shown and not counted. result_part: which file of a batch
        result it is; both stand on one remote id. provider_expires_at: when its provider deletes it by
        itself. Raises IntegrityError when the organization has a live file of this id, or another file holds
        the remote id.
        """
        created_at = remote.created_at or timezone.now()
        file = self.create(
            organization_id=organization_id,
            account=account,
            file_id=file_id,
            **_described(remote),
            result_part=result_part,
            state=FileState.AVAILABLE,
            is_adopted=is_adopted,
            is_counted=not is_adopted,
            created_at=created_at,
            indexed_at=created_at,
            stored_from=timezone.now(),
            expires_at=remote.expires_at,
            provider_expires_at=provider_expires_at,
        )
        file.copies.create(
            account=account,
            remote_id=remote.remote_id,
            state=CopyState.AVAILABLE,
            is_shared_remote=bool(result_part),
        )
        return file

    def newest_first(self) -> FileQuerySet:
        """Return files in the order of lists."""
        return self.order_by("-indexed_at", "-pk")


def _described(remote: RemoteFile) -> dict[str, Any]:
    """Return the columns that say what a provider says, as far as they hold it."""
    return {
        "filename": clean_filename(remote.filename or remote.remote_id.rsplit("/", 1)[-1]),
        "purpose": (remote.purpose or "user_data")[:64],
        "content_type": (remote.content_type or "")[:127],
        "bytes": remote.bytes or 0,
        "sha256": (remote.sha256 or "")[:64],
        "metadata": dict(remote.metadata),
        "uri": remote.uri or "",
        "batch": remote.batch,
        "status": remote.status,
        "status_details": (remote.status_details or "")[:500],
    }


class File(StatefulModel):
    """A file as the gateway knows it.

    file_id: what clients use: the provider's own id at API providers, ours in object stores.
    created_at: the wire's `created_at`; indexed_at: what lists are ordered by.
    reserved_bytes: what this upload holds of the organization's reservation.
    lease_token, lease_expires_at: who may settle the upload, and until when it counts as alive.
    is_withheld: adopted at an account that turned out to be shared, so that it may be somebody else's: for
    clients it is not there, until an operator confirms the account.
    batch: the member `batch` of the file object; None but for batch files whose provider's jobs read lines of
    their own.
    result_part: of a batch result whose content is the translation into OpenAI's lines; empty for any other.
    status_ask_after: before this moment, in database time, nobody asks the provider for the status again, or
    translates the result.
    is_counted: whether the bytes count against the quota (adopted files do not).
    api_key, uploaded_by: who uploaded it: a key, else the name of the staff user or command. Neither has what
    was found at a provider.
    failure_kind: of a failed upload, whose turn it is; empty where an earlier version wrote the row.
    is_held: some legal hold is on it, so that nothing deletes it; services/retention/holds.py writes it.
    provider_expires_at: when the provider deletes it by itself, whatever `expires_at` says; None for never.
    trash_ends_at, is_counted_in_trash: of a trashed file, when it goes for good, and whether its bytes count
    until then.
    stored_from, stored_until: when its bytes began and ceased to count, for bills; None where it has not, or
    in a row that an earlier version wrote. Earlier such times of a file that came back are StoredSpan rows.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="files", db_index=False
    )
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.PROTECT, related_name="files", db_index=False
    )
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    uploaded_by = models.CharField(max_length=150, blank=True, db_default="", default="", editable=False)
    file_id = models.CharField(max_length=255)
    filename = models.CharField(max_length=255, blank=True)
    purpose = models.CharField(max_length=64, blank=True)
    content_type = models.CharField(max_length=127, blank=True)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    uri = models.CharField(max_length=1300, blank=True)
    batch = models.JSONField(null=True, blank=True, editable=False)
    status = models.CharField(max_length=16, default="processed")
    status_details = models.CharField(max_length=500, blank=True)
    result_part = models.CharField(max_length=8, choices=ResultPart, blank=True, db_default="", default="")
    status_ask_after = models.DateTimeField(null=True, blank=True, editable=False)
    state = models.CharField(max_length=16, choices=FileState, default=FileState.UPLOADING)
    deleted_reason = models.CharField(max_length=16, choices=DeletedReason, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    failure_kind = models.CharField(
        max_length=16, choices=FailureKind, blank=True, db_default="", default="", editable=False
    )
    is_adopted = models.BooleanField(default=False)
    is_withheld = models.BooleanField(default=False, db_default=False)
    is_counted = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    indexed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    provider_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    trash_ends_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_counted_in_trash = models.BooleanField(default=False, db_default=False, editable=False)
    is_held = models.BooleanField(default=False, db_default=False, editable=False)
    state_changed_at = models.DateTimeField(default=timezone.now)
    stored_from = models.DateTimeField(null=True, blank=True, editable=False)
    stored_until = models.DateTimeField(null=True, blank=True, editable=False)
    reserved_bytes = models.BigIntegerField(default=0, editable=False)
    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = FileQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("read_file_content", "Can preview and download the content of files")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "account", "file_id"],
                condition=Q(state="available"),
                name="one_live_file_of_an_id",
            )
        ]
        # Every update but the smallest writes an entry into each index that the row is in: ADR 0030 says
        # which query needs which. Two more exist on PostgreSQL alone: see migration 0020.
        indexes: ClassVar = [
            models.Index(fields=["file_id", "organization", "state"], name="file_by_id"),
            models.Index(fields=["uri", "organization", "state"], condition=~Q(uri=""), name="file_by_uri"),
            models.Index(fields=["sha256", "organization"], condition=~Q(sha256=""), name="file_by_sha256"),
            models.Index(fields=["organization", *_LISTED], name="file_by_organization"),
            models.Index(fields=["account", "organization", *_LISTED], name="file_by_account"),
            models.Index(
                fields=["purpose", "organization", *_LISTED], condition=~Q(purpose=""), name="file_by_purpose"
            ),
            models.Index(
                fields=["filename", "organization", *_LISTED],
                opclasses=["varchar_pattern_ops", "int8_ops", "varchar_ops", "timestamptz_ops", "int8_ops"],
                condition=~Q(filename=""),
                name="file_by_name",
            ),
            models.Index(
                fields=["organization", "status", *_LISTED],
                condition=~Q(status=PROCESSED),
                name="file_by_status",
            ),
            models.Index(fields=["-indexed_at", "-id"], name="file_newest"),
            models.Index(fields=["bytes", "indexed_at", "id"], name="file_by_size"),
            models.Index(
                fields=["state", "-indexed_at", "-id"], condition=~Q(state="available"), name="file_by_state"
            ),
            models.Index(
                fields=["account", "-indexed_at", "-id"], condition=Q(is_adopted=True), name="file_adopted"
            ),
            models.Index(fields=["account"], condition=Q(is_withheld=True), name="file_withheld"),
            models.Index(
                fields=["api_key", *_LISTED], condition=Q(api_key__isnull=False), name="file_by_key"
            ),
            models.Index(
                fields=["uploaded_by", *_LISTED], condition=~Q(uploaded_by=""), name="file_by_person"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(state="available", expires_at__isnull=False),
                name="file_expiry",
            ),
            models.Index(fields=["trash_ends_at"], condition=Q(state="trashed"), name="file_trash"),
            models.Index(fields=["organization", "id"], condition=Q(is_held=True), name="file_held"),
            # When bytes came is `indexed_at` of nearly every file, so that an upload writes no entry for it.
            models.Index(fields=["stored_from"], condition=CAME_OTHERWISE, name="file_came"),
            models.Index(CEASED_AT, condition=Q(state__in=GONE_STATES), name="file_went"),
            models.Index(
                fields=["lease_expires_at"], condition=Q(state="uploading"), name="file_upload_lease"
            ),
            models.Index(
                fields=["account"], condition=Q(state="available", status=UNFINISHED), name="file_unfinished"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename or 'unnamed'} ({self.file_id})"

    @property
    def has_rendition(self) -> bool:
        """Whether batch jobs read another object than the file itself."""
        return self.batch is not None and self.batch.get("uri") not in (None, self.uri)

    @property
    def is_expired(self) -> bool:
        """Whether the file's time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()


File._meta.get_field("state").register_lookup(StateIs)
