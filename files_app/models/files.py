"""The index of files, and each provider's holding of them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models.accounts import ProviderAccount
from files_app.models.organizations import ApiKey, Organization


class FileState(models.TextChoices):
    """uploading -> available -> deleting -> deleted; uploading -> failed; available -> lost."""

    UPLOADING = "uploading"
    AVAILABLE = "available"
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"
    LOST = "lost"


class DeletedReason(models.TextChoices):
    """Why a file is gone."""

    USER = "user"
    EXPIRED = "expired"
    LOST = "lost"
    ADMIN = "admin"


class FileQuerySet(models.QuerySet["File"]):
    """The one way to files: every lookup begins with the organization."""

    def for_organization(self, organization: Organization | int) -> FileQuerySet:
        """Return the files of one organization."""
        return self.filter(organization=organization)

    def live(self) -> FileQuerySet:
        """Return files that clients can see: available, and not past their expiry."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), state=FileState.AVAILABLE
        )

    def expired(self) -> FileQuerySet:
        """Return available files whose time is over."""
        return self.filter(state=FileState.AVAILABLE, expires_at__lte=timezone.now())

    def stuck(self) -> FileQuerySet:
        """Return uploads whose lease ran out, in database time."""
        return self.filter(state=FileState.UPLOADING, lease_expires_at__lt=Now())

    def newest_first(self) -> FileQuerySet:
        """Return files in the order of lists."""
        return self.order_by("-indexed_at", "-pk")


class File(models.Model):
    """A file as the gateway knows it.

    file_id: what clients use: the provider's own id at API providers, ours in object stores.
    created_at: the wire's `created_at`; indexed_at: what lists are ordered by.
    reserved_bytes: what this upload holds of the organization's reservation.
    lease_token, lease_expires_at: who may settle the upload, and until when it counts as alive.
    is_counted: whether the bytes count against the quota (adopted files do not).
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="files")
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="files")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    file_id = models.CharField(max_length=255)
    filename = models.CharField(max_length=255, blank=True)
    purpose = models.CharField(max_length=64, blank=True)
    content_type = models.CharField(max_length=127, blank=True)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    uri = models.CharField(max_length=1300, blank=True)
    status = models.CharField(max_length=16, default="processed")
    status_details = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=16, choices=FileState, default=FileState.UPLOADING)
    deleted_reason = models.CharField(max_length=16, choices=DeletedReason, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    is_adopted = models.BooleanField(default=False)
    is_counted = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    indexed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    state_changed_at = models.DateTimeField(default=timezone.now)
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
        indexes: ClassVar = [
            models.Index(fields=["organization", "file_id"], name="file_lookup"),
            models.Index(fields=["organization", "uri"], name="file_lookup_by_uri"),
            models.Index(
                F("organization"),
                F("indexed_at").desc(),
                F("id").desc(),
                condition=Q(state="available"),
                name="file_list",
            ),
            models.Index(
                F("organization"),
                F("account"),
                F("indexed_at").desc(),
                F("id").desc(),
                condition=Q(state="available"),
                name="file_list_by_account",
            ),
            models.Index(
                F("organization"),
                F("purpose"),
                F("indexed_at").desc(),
                F("id").desc(),
                condition=Q(state="available"),
                name="file_list_by_purpose",
            ),
            models.Index(fields=["-indexed_at", "-id"], name="file_newest"),
            models.Index(
                fields=["expires_at"],
                condition=Q(state="available", expires_at__isnull=False),
                name="file_expiry",
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(state="uploading"), name="file_upload_lease"
            ),
            models.Index(fields=["organization", "sha256"], name="file_sha256"),
            models.Index(
                fields=["state", "-indexed_at", "-id"], condition=~Q(state="available"), name="file_by_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename or 'unnamed'} ({self.file_id})"

    @property
    def is_expired(self) -> bool:
        """Whether the file's time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()


class CopyState(models.TextChoices):
    """State of one provider's holding.

    unconfirmed: the provider's answer was lost, so that it may hold bytes that we cannot name.
    dead: deletes are exhausted; an operator has to look.
    """

    UPLOADING = "uploading"
    AVAILABLE = "available"
    UNCONFIRMED = "unconfirmed"
    DELETING = "deleting"
    DELETED = "deleted"
    DEAD = "dead"
    FAILED = "failed"
    LOST = "lost"


#: States in which a remote id belongs to one file only.
HOLDING_STATES = (CopyState.AVAILABLE, CopyState.DELETING, CopyState.DEAD)


class FileCopyQuerySet(models.QuerySet["FileCopy"]):
    """The outbox of provider deletes."""

    def due(self) -> FileCopyQuerySet:
        """Return deletes whose time has come and that nobody works on, oldest first."""
        return self.filter(
            Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now()),
            state=CopyState.DELETING,
            next_attempt_at__lte=Now(),
        ).order_by("next_attempt_at", "pk")

    def holding(self, account: ProviderAccount, remote_id: str) -> FileCopyQuerySet:
        """Return the copies, of all accounts there, that stand for `remote_id` at the account's endpoint."""
        here = self.filter(account__location_digest=account.location_digest, remote_id=remote_id)
        return here.filter(state__in=HOLDING_STATES)


class FileCopy(models.Model):
    """One provider account's holding of a file; while `deleting`, the row is the outbox entry."""

    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="copies")
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="copies")
    remote_id = models.CharField(max_length=1024, blank=True)
    is_shared_remote = models.BooleanField(
        default=False, help_text="The provider deduplicated: other copies have the same remote id."
    )
    state = models.CharField(max_length=16, choices=CopyState, default=CopyState.UPLOADING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    first_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    state_changed_at = models.DateTimeField(default=timezone.now)

    objects = FileCopyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "file copies"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "remote_id"],
                condition=Q(state__in=["available", "deleting", "dead"], is_shared_remote=False)
                & ~Q(remote_id=""),
                name="one_file_of_a_remote_id",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "remote_id"], name="copy_remote_id"),
            models.Index(fields=["next_attempt_at"], condition=Q(state="deleting"), name="copy_due_deletes"),
            models.Index(fields=["state", "state_changed_at"], name="copy_state"),
        ]

    def __str__(self) -> str:
        return f"{self.remote_id or 'no remote id'} at {self.account_id}"
