"""Legal holds: what nobody may delete until an owner lifts them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from files_app.models.accounts import ProviderAccount
from files_app.models.files import File
from files_app.models.organizations import Organization


class LegalHoldQuerySet(models.QuerySet["LegalHold"]):
    """Which of them keep files."""

    def open(self) -> LegalHoldQuerySet:
        """Return those that nobody has lifted."""
        return self.filter(lifted_at=None)

    def standing(self) -> LegalHoldQuerySet:
        """Return open ones that go on to hold what comes to match them."""
        return self.open().exclude(filters={})


class LegalHold(models.Model):
    """One reason to keep files of one organization.

    filters: which files it is for, also those that come later, by the names of the API's list; empty for
    the files that were named. accounts: which `filters` names, so that it holds under other names too.
    examined_pk: files up to this key have been looked at for `filters`.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="legal_holds")
    reason = models.CharField(max_length=500)
    filters = models.JSONField(default=dict, blank=True)
    accounts = models.ManyToManyField(ProviderAccount, related_name="+", editable=False)
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField(default=timezone.now)
    lifted_by = models.CharField(max_length=150, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    examined_pk = models.BigIntegerField(default=0, editable=False)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("lift_legalhold", "Can lift legal holds")]
        ordering: ClassVar = ["-placed_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization"], condition=Q(lifted_at=None), name="hold_open"),
        ]

    def __str__(self) -> str:
        return f"hold {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether nobody has lifted it."""
        return self.lifted_at is None


class HeldFile(models.Model):
    """A file that a hold keeps. PROTECT: not even the rows go past it."""

    hold = models.ForeignKey(LegalHold, on_delete=models.PROTECT, related_name="held", db_index=False)
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="held_by")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hold", "file"], name="a_hold_keeps_a_file_once")
        ]

    def __str__(self) -> str:
        return f"file {self.file_id} by hold {self.hold_id}"
