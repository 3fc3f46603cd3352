"""Each provider's holding of a file; the outbox of deletes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models.accounts import ProviderAccount
from files_app.models.files import File
from files_app.models.places import AccountPlace
from files_app.models.states import (
    COPY_TRANSITIONS,
    HOLDING_STATES,
    CopyState,
    FileState,
    StatefulModel,
    StatefulQuerySet,
    StateIs,
)

#: How the error of a copy begins whose delete an operator gave up: its provider may keep it.
GIVEN_UP = "given up: "


class FileCopyQuerySet(StatefulQuerySet["FileCopy"]):
    """The outbox of provider deletes."""

    transitions = COPY_TRANSITIONS

    def due(self) -> FileCopyQuerySet:
        """Return deletes whose time has come and that nobody works on, oldest first."""
        return self.filter(
            Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now()),
            state=CopyState.DELETING,
            next_attempt_at__lte=Now(),
        ).order_by("next_attempt_at", "pk")

    def over(self, before: datetime) -> FileCopyQuerySet:
        """Return what was deleted at its provider before a moment, as the provider has confirmed, twice.

        It said so, and a complete list has lacked it since.
        """
        return self.filter(
            ~Q(last_error__startswith=GIVEN_UP),
            state=CopyState.DELETED,
            unlisted_at__isnull=False,
            state_changed_at__lt=before,
        )

    def at(self, account: ProviderAccount, remote_ids: Collection[str] | None = None) -> FileCopyQuerySet:
        """Return the copies where the account's files are, of all accounts and organizations there.

        Whatever their keys: two of them may belong to one customer. remote_ids: only these; None for all.
        """
        places = [row.place for row in account.places.all()]
        there = AccountPlace.objects.overlapping(places, whatever_the_key=True)
        here = self.filter(Q(account=account) | Q(account__in=there.values("account")))
        return here if remote_ids is None else here.filter(remote_id__in=remote_ids)

    def holding(self, account: ProviderAccount, remote_id: str) -> FileCopyQuerySet:
        """Return the copies, of all accounts there, that stand for `remote_id` there."""
        return self.at(account, [remote_id]).filter(state__in=HOLDING_STATES)


class FileCopy(StatefulModel):
    """One provider account's holding of a file; while `deleting`, the row is the outbox entry.

    missing_since: when a provider that had the copy was first found to lack it, and has since; None while it
    has it.
    unlisted_at: of a deleted copy, when a complete list of its provider was first seen to lack it.
    """

    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="copies")
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.PROTECT, related_name="copies", db_index=False
    )
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
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    unlisted_at = models.DateTimeField(null=True, blank=True, editable=False)
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
        # Keys of object stores have one more on PostgreSQL, `copy_by_key`: see services/reading/folders.py.
        indexes: ClassVar = [
            models.Index(fields=["account", "remote_id"], name="copy_remote_id"),
            models.Index(fields=["remote_id"], name="copy_anywhere"),
            models.Index(
                fields=["account", "next_attempt_at"],
                condition=Q(state="deleting"),
                name="copy_due_by_account",
            ),
            models.Index(fields=["state", "state_changed_at"], name="copy_state"),
            models.Index(
                fields=["account", "id"],
                condition=Q(state="deleted", unlisted_at__isnull=True),
                name="copy_maybe_listed",
            ),
            models.Index(
                fields=["state_changed_at", "id"],
                condition=Q(state="deleted", unlisted_at__isnull=False),
                name="copy_unlisted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remote_id or 'no remote id'} at {self.account_id}"

    @property
    def is_young(self) -> bool:
        """Whether the provider's lists and reads may still lag behind the write that made the file.

        Of an upload that failed, when it was written is not known; its end is.
        """
        written_at = self.state_changed_at if self.file.state == FileState.FAILED else self.file.indexed_at
        return timezone.now() - written_at < timedelta(seconds=settings.LOST_AFTER_SECONDS)


FileCopy._meta.get_field("state").register_lookup(StateIs)
