"""Jobs on many files: what was asked, which files it is for, and how it went for each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from files_app.models.organizations import ApiKey, Organization


class JobKind(models.TextChoices):
    """What a job does to each file. Stored: never rename one."""

    DELETE = "delete"
    EXPIRE = "expire", "set expiry"
    RECHECK = "recheck", "re-check"
    EXPORT = "export"


class JobStatus(models.TextChoices):
    """Where a job is. What runs or waits and has no lease is anybody's to go on with."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class ItemResult(models.TextChoices):
    """How it went for one file."""

    WAITING = ""
    DONE = "done"
    REFUSED = "refused"


UNFINISHED_JOBS = (JobStatus.QUEUED, JobStatus.RUNNING)
#: A job that nobody works on, and that has not moved for so long, is stuck.
STUCK_AFTER = timedelta(minutes=15)


class FileJobQuerySet(models.QuerySet["FileJob"]):
    """Which jobs somebody may see, and which have to be worked on."""

    def within(self, organization_ids: Collection[int] | None) -> FileJobQuerySet:
        """Return jobs of which every organization is among these; None for all jobs."""
        if organization_ids is None:
            return self
        parts = FileJobPart.objects.filter(job=OuterRef("pk"))
        outside = parts.exclude(organization__in=organization_ids)
        return self.filter(Exists(parts), ~Exists(outside))

    def unfinished(self) -> FileJobQuerySet:
        """Return jobs that are neither done nor cancelled."""
        return self.filter(status__in=UNFINISHED_JOBS)

    def free_to_take(self) -> FileJobQuerySet:
        """Return unfinished jobs that nobody works on, in database time."""
        return self.unfinished().exclude(lease_expires_at__gt=Now())

    def stuck(self) -> FileJobQuerySet:
        """Return jobs that nobody works on, though they have waited for long."""
        moved = self.free_to_take().annotate(moved_at=Coalesce("progressed_at", "created_at"))
        return moved.filter(moved_at__lt=timezone.now() - STUCK_AFTER)


class FileJob(models.Model):
    """One order for many files, which were written down when it was given.

    public_id: by which the API knows it. organization: whose client asked; None for staff and commands.
    arguments: what `kind` needs besides, such as `expires_at` in ISO 8601. filters, described: which files it
    is for, as the API says it, and in words. actor, actor_type, ip, request_id: who asked, for the audit
    trail. files, bytes: of all; done_files, done_bytes, refused_files: so far, the last
    of them at progressed_at. idempotency_key, fingerprint: of a client that may ask twice.
    """

    public_id = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, choices=JobKind)
    status = models.CharField(max_length=16, choices=JobStatus, default=JobStatus.QUEUED)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, related_name="file_jobs"
    )
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    arguments = models.JSONField(default=dict)
    filters = models.JSONField(default=dict)
    described = models.CharField(max_length=500)
    actor_type = models.CharField(max_length=16)
    actor = models.CharField(max_length=150, blank=True)
    ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    done_files = models.BigIntegerField(default=0)
    done_bytes = models.BigIntegerField(default=0)
    refused_files = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    progressed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001  # unique where there is one
    fingerprint = models.CharField(max_length=64, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    lease_expires_at = models.DateTimeField(null=True)

    objects = FileJobQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # whoever sees files sees jobs
        verbose_name = "job"
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "idempotency_key"], name="a_key_makes_one_job")
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="file_job_newest"),
            models.Index(fields=["id"], condition=Q(finished_at=None), name="file_job_open"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether there may be more to do."""
        return self.status in UNFINISHED_JOBS

    @property
    def waiting_files(self) -> int:
        """How many files nothing was done to yet."""
        return self.files - self.done_files - self.refused_files

    @property
    def percent(self) -> int:
        """How much is done, of 100."""
        return 100 if not self.files else (self.files - self.waiting_files) * 100 // self.files


class FileJobPart(models.Model):
    """What a job is for in one organization."""

    job = models.ForeignKey(FileJob, on_delete=models.CASCADE, related_name="parts", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    files = models.BigIntegerField()
    bytes = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "organization"], name="one_part_of_an_organization")
        ]

    def __str__(self) -> str:
        return f"{self.files} of organization {self.organization_id}"


class FileJobItem(models.Model):
    """A file of a job. It stays when the file's own record goes; names of files are not kept here.

    file_pk: no foreign key, since deleted files go before the report does. detail: in words, of what was
    done or why it was not.
    """

    job = models.ForeignKey(FileJob, on_delete=models.CASCADE, related_name="items", db_index=False)
    file_pk = models.BigIntegerField()
    file_id = models.CharField(max_length=255)
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    bytes = models.BigIntegerField()
    result = models.CharField(max_length=16, choices=ItemResult, blank=True, default=ItemResult.WAITING)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "file_pk"], name="a_file_is_once_in_a_job")
        ]
        indexes: ClassVar = [
            models.Index(fields=["job", "id"], name="file_job_items"),
            models.Index(fields=["job", "id"], condition=Q(result=""), name="file_job_waiting"),
        ]

    def __str__(self) -> str:
        return self.file_id


class ExportedChunk(models.Model):
    """What an export wrote of some files, in the order of the job's items.

    In the database, since web servers and workers may share no disk. data: packed by
    `services/bulk/exports.py`; it has names and metadata, and goes long before the report does.
    """

    job = models.ForeignKey(FileJob, on_delete=models.CASCADE, related_name="exported")
    data = models.BinaryField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"chunk {self.pk} of job {self.job_id}"
