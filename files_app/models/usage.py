"""What organizations are billed for: a day's figures, and what they are computed from."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from files_app.models.organizations import Organization


class DailyUsage(models.Model):
    """What one key did with files of one purpose at one account on one day (UTC).

    Rows stay when what they name is gone: the names are text. key_id, account_id: 0 where there is none, as
    for a list, or for what staff did. requests: of the API, with a good key, whatever they were answered.
    bytes_in, files: what uploads stored. bytes_out: content handed to clients. byte_hours: bytes times the
    hours in which they counted, rounded down; adopted_byte_hours: of what was made elsewhere.
    """

    day = models.DateField()
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    key_id = models.BigIntegerField(default=0)
    account_id = models.BigIntegerField(default=0)
    purpose = models.CharField(max_length=64, blank=True, default="")
    organization_name = models.CharField(max_length=64, blank=True, default="")
    key_name = models.CharField(max_length=64, blank=True, default="")
    account_name = models.CharField(max_length=64, blank=True, default="")
    requests = models.BigIntegerField(default=0)
    files = models.BigIntegerField(default=0)
    bytes_in = models.BigIntegerField(default=0)
    bytes_out = models.BigIntegerField(default=0)
    byte_hours = models.BigIntegerField(default=0)
    adopted_byte_hours = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "usage of a day"
        verbose_name_plural = "usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["day", "organization", "key_id", "account_id", "purpose"], name="one_usage_of_a_day"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["organization", "day"], name="usage_by_organization")]

    def __str__(self) -> str:
        return f"{self.organization_name} on {self.day}"


class SettledDay(models.Model):
    """A day whose byte-hours are final. The first is the one before the first that is computed."""

    day = models.DateField(primary_key=True)
    settled_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.day)


class MeteredUpTo(models.Model):
    """The moment of which StoredLevel rows tell; the only row.

    listed_at: when days got a row of every level.
    """

    moment = models.DateTimeField()
    listed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.moment:%Y-%m-%d %H:%M:%S}"


class StoredLevel(models.Model):
    """What one key's files of one purpose at one account held at the moment of MeteredUpTo.

    Those that count against the quota (is_counted) and those made elsewhere have a row each. On the day of
    that moment, bytes x (time since midnight) less `late` was stored, in byte-hours: what came later has not
    lain there since midnight. late_hours and late_us (bytes x microseconds, less than an hour) are `late`.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, db_index=False, related_name="+")
    key_id = models.BigIntegerField(default=0)
    account_id = models.BigIntegerField()
    purpose = models.CharField(max_length=64, blank=True)
    is_counted = models.BooleanField()
    bytes = models.BigIntegerField(default=0)
    files = models.BigIntegerField(default=0)
    late_hours = models.BigIntegerField(default=0)
    late_us = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "key_id", "account_id", "purpose", "is_counted"],
                name="one_level_of_a_holder",
            )
        ]

    def __str__(self) -> str:
        return f"{self.bytes} bytes of {self.files} files"


class StoredSpan(models.Model):
    """An earlier time in which a file counted: since then it was lost, in a trash that is free, withheld, of
    another size, or it is out of the index.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    key_id = models.BigIntegerField(default=0)
    account_id = models.BigIntegerField()
    purpose = models.CharField(max_length=64, blank=True)
    bytes = models.BigIntegerField()
    is_counted = models.BooleanField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.bytes} bytes until {self.ended_at:%Y-%m-%d %H:%M:%S}"
