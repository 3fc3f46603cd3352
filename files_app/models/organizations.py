"""Tenants and their API keys."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

MAX_TRASH_DAYS = 366
NAME_VALIDATOR = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    "Use 1 to 64 letters, digits, dots, hyphens or underscores, beginning with a letter or digit.",
)


def default_quota_bytes() -> int:
    """Return the quota of a new organization in bytes."""
    return int(settings.ORGANIZATION_QUOTA_BYTES)


def default_max_file_bytes() -> int:
    """Return the file limit of a new organization in bytes."""
    return int(settings.MAX_FILE_BYTES)


def default_max_files() -> int:
    """Return how many files a new organization may have."""
    return int(settings.ORGANIZATION_MAX_FILES)


def namespace_of(organization_id: int) -> str:
    """Return the segment of storage keys that belongs to an organization."""
    return f"org-{organization_id}"


#: Parallel uploads may all find room when they begin: the settle of the last ones decides.
_HAS_ROOM_FOR_A_FILE = Q(max_files=0) | Q(file_count__lt=F("max_files"))


class OrganizationQuerySet(models.QuerySet["Organization"]):
    """Quota arithmetic: conditional updates, never a value that was read before."""

    def reserve(self, pk: int, amount: int) -> bool:
        """Reserve `amount` more bytes for one more file; False when they do not fit."""
        fits = Q(used_bytes__lte=F("quota_bytes") - F("reserved_bytes") - amount)
        rows = self.filter(_HAS_ROOM_FOR_A_FILE, fits, pk=pk)
        return rows.update(reserved_bytes=F("reserved_bytes") + amount) == 1

    def release(self, pk: int, amount: int) -> None:
        """Give `amount` reserved bytes back."""
        self.filter(pk=pk).update(reserved_bytes=F("reserved_bytes") - amount)

    def settle(self, pk: int, amount: int) -> bool:
        """Turn `amount` reserved bytes into used ones, for one more file; False when that is one too many."""
        updated = self.filter(_HAS_ROOM_FOR_A_FILE, pk=pk).update(
            reserved_bytes=F("reserved_bytes") - amount,
            used_bytes=F("used_bytes") + amount,
            file_count=F("file_count") + 1,
        )
        return updated == 1

    def add(self, pk: int, amount: int) -> None:
        """Count one more file of `amount` bytes that nothing was reserved for."""
        self.filter(pk=pk).update(used_bytes=F("used_bytes") + amount, file_count=F("file_count") + 1)

    def free(self, pk: int, amount: int, *, files: int = 1) -> None:
        """Take `amount` bytes and some files off what is used."""
        self.filter(pk=pk).update(used_bytes=F("used_bytes") - amount, file_count=F("file_count") - files)

    def recount_one(self, pk: int, amount: int) -> bool:
        """Count a file again that was not counted for a while; False when it has no room now."""
        fits = Q(used_bytes__lte=F("quota_bytes") - F("reserved_bytes") - amount)
        rows = self.filter(_HAS_ROOM_FOR_A_FILE, fits, pk=pk)
        return rows.update(used_bytes=F("used_bytes") + amount, file_count=F("file_count") + 1) == 1

    def take_back(self, pk: int, amount: int) -> None:
        """Count a file again that had been taken off; it exists, whether or not the quota still has room."""
        self.filter(pk=pk).update(used_bytes=F("used_bytes") + amount, file_count=F("file_count") + 1)


class RateLimited(models.Model):
    """Who may be held to rates of its own: None for the setting's, 0 for no limit."""

    requests_per_minute = models.PositiveBigIntegerField(null=True, blank=True)
    bytes_per_minute = models.PositiveBigIntegerField(null=True, blank=True)
    uploads_per_minute = models.PositiveBigIntegerField(null=True, blank=True)
    uploads_at_once = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        abstract = True


#: Their names, in the order in which people are shown them.
RATE_LIMITS = tuple(field.name for field in RateLimited._meta.local_fields)


class Organization(RateLimited):
    """A tenant. The three counters change only through `OrganizationQuerySet` and the recount.

    max_files: how many files it may have; 0 for no limit. is_demo: `manage.py demo` made it up.
    trash_days: how long what is deleted can be restored; 0 for not at all. trash_is_free: what waits there
    does not count against the quota. quota_told: the highest share of the quota in use, in percent, that its
    webhooks were told of.
    """

    name = models.CharField(max_length=64, unique=True, validators=[NAME_VALIDATOR])
    is_active = models.BooleanField(default=True, help_text="An inactive organization's keys are refused.")
    quota_bytes = models.PositiveBigIntegerField(default=default_quota_bytes)
    max_file_bytes = models.PositiveBigIntegerField(default=default_max_file_bytes)
    max_files = models.PositiveBigIntegerField(default=default_max_files)
    trash_days = models.PositiveSmallIntegerField(
        default=0, db_default=0, validators=[MaxValueValidator(MAX_TRASH_DAYS)]
    )
    trash_is_free = models.BooleanField(default=False, db_default=False)
    used_bytes = models.BigIntegerField(default=0, editable=False)
    reserved_bytes = models.BigIntegerField(default=0, editable=False)
    file_count = models.BigIntegerField(default=0, editable=False)
    is_demo = models.BooleanField(default=False, db_default=False, editable=False)
    quota_told = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    recounted_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def namespace(self) -> str:
        """The segment of storage keys that belongs to this organization; survives a rename."""
        return namespace_of(self.pk)

    @property
    def free_bytes(self) -> int:
        """What may still be uploaded, never negative."""
        return max(0, self.quota_bytes - self.used_bytes - self.reserved_bytes)

    def has_room_for(self, size: int) -> bool:
        """Whether a file of so many bytes would fit now; only a reservation makes sure of it."""
        return size <= self.free_bytes and not (self.max_files and self.file_count >= self.max_files)


class Scope(models.TextChoices):
    """What a key may do."""

    READ = "files:read", "Read files"
    WRITE = "files:write", "Upload files"
    DELETE = "files:delete", "Delete files"


def all_scopes() -> list[str]:
    """Return every scope: what a key may do unless its creator narrows it."""
    return [scope.value for scope in Scope]


class ApiKey(RateLimited):
    """A client's credential. Only a keyed digest is stored; the key itself is shown once."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=64, validators=[NAME_VALIDATOR])
    prefix = models.CharField(max_length=12, editable=False, db_index=True)
    last_four = models.CharField(max_length=4, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=all_scopes)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "API key"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "name"],
                condition=Q(revoked_at__isnull=True),
                name="one_live_key_of_a_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.last_four})"

    @property
    def is_usable(self) -> bool:
        """Whether the key is neither revoked nor expired; its organization may still be inactive."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    def allows(self, scope: str) -> bool:
        """Whether the key may do what `scope` names."""
        return scope in self.scopes


class RetiredSecret(models.Model):
    """A secret that a rotation replaced. It opens what its key opens until `valid_until`; the row stays."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="retired_secrets")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, db_index=True)
    last_four = models.CharField(max_length=4, editable=False)
    retired_at = models.DateTimeField(default=timezone.now, editable=False)
    valid_until = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-retired_at", "-id"]

    def __str__(self) -> str:
        return f"{self.key.name} ({self.prefix}…{self.last_four})"

    @property
    def is_usable(self) -> bool:
        """Whether its time is not over; its key may be revoked or expired."""
        return self.valid_until > timezone.now()
