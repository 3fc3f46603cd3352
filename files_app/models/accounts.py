"""Provider accounts: named configurations of a driver."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from files_app.models.organizations import NAME_VALIDATOR, Organization, namespace_of
from providers.base import Driver
from providers.registry import driver_class

#: What stands for the owner in references to shared accounts.
SHARED = "shared"


def default_freshness_seconds() -> int:
    """Return how old a sync may be before a list asks the provider first."""
    return int(settings.LIST_FRESHNESS_SECONDS)


class SharedReason(models.TextChoices):
    """Why an account's files may be another's too. Shown to its owner, so it names nobody."""

    PLACE = "place", "an account of another organization leads to the same place"
    DIRECTORY = "directory", "another account on disk has the same directory, or one above or below it"
    EVIDENCE = "evidence", "its provider showed a file that belongs to another organization"


class ProviderAccountQuerySet(models.QuerySet["ProviderAccount"]):
    """Which accounts an organization may use."""

    def known_to(self, organization: Organization | int) -> ProviderAccountQuerySet:
        """Return the accounts of the organization and the shared ones, also those that are switched off."""
        return self.filter(Q(organization=organization) | Q(organization=None))

    def usable_by(self, organization: Organization | int) -> ProviderAccountQuerySet:
        """Return the enabled accounts of the organization and the shared ones."""
        return self.known_to(organization).filter(is_enabled=True)


class ProviderAccount(models.Model):
    """One driver with its endpoint, credentials or bucket, owned by one organization or shared by all.

    credentials: ciphertext; services.credentials reads and writes it.
    is_operators: who runs the gateway answers for where the account leads. What code makes is theirs; the
        admin alone makes accounts for others.
    access_proved_at: when the provider first let the account in where it is now; None until then.
    shared_since, shared_reason: since when and why its files may be another organization's too.
    confirmed_at: until when an operator has looked at what speaks for that, and taken it for harmless.
    disk_segment: the folder that an account on disk has for itself; services.local_trees gives it.
    told_failing_at: when webhooks were told that it fails; None while they know it as well.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="provider_accounts",
        help_text="Empty: shared by every organization.",
    )
    name = models.CharField(max_length=64, validators=[NAME_VALIDATOR])
    driver = models.CharField(max_length=32)
    options = models.JSONField(default=dict, blank=True)
    credentials = models.TextField(blank=True, editable=False)
    credentials_changed_at = models.DateTimeField(null=True, editable=False)
    is_default = models.BooleanField(default=False, help_text="Serves when a client names no account.")
    is_enabled = models.BooleanField(default=True)
    list_freshness_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=default_freshness_seconds,
        help_text="Age of the last sync above which a list asks the provider first. 0: always. Empty: never.",
    )
    is_operators = models.BooleanField(
        "operator's account",
        default=True,
        help_text=(
            "May use the platform's own credentials, roles and private networks. An edit by staff of one "
            "organization ends that."
        ),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    access_proved_at = models.DateTimeField(null=True, editable=False)
    shared_since = models.DateTimeField(null=True, editable=False)
    shared_reason = models.CharField(max_length=32, choices=SharedReason, blank=True, editable=False)
    confirmed_at = models.DateTimeField(null=True, editable=False)
    disk_segment = models.CharField(max_length=64, blank=True, editable=False)
    last_synced_at = models.DateTimeField(null=True, editable=False)
    last_sync_error = models.CharField(max_length=500, blank=True, editable=False)
    sync_lease_expires_at = models.DateTimeField(null=True, editable=False)
    sync_token = models.CharField(max_length=32, blank=True, editable=False)
    told_failing_at = models.DateTimeField(null=True, editable=False)

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("operate_provideraccount", "Can test and sync provider accounts")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "name"],
                name="account_name_in_organization",
                violation_error_message="The organization has an account of this name already.",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(organization__isnull=True),
                name="shared_account_name",
                violation_error_message="There is a shared account of this name already.",
            ),
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(is_default=True),
                name="one_default_in_organization",
                violation_error_message="Another account is the default already: change that one first.",
            ),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True, organization__isnull=True),
                name="one_shared_default",
                violation_error_message="Another shared account is the default: change that one first.",
            ),
            models.UniqueConstraint(
                fields=["disk_segment"], condition=~Q(disk_segment=""), name="one_account_of_a_disk_segment"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def full_name(self) -> str:
        """The reference that means this account and no other: ORGANIZATION/NAME or shared/NAME."""
        return f"{self.organization.name if self.organization else SHARED}/{self.name}"

    @property
    def is_shared(self) -> bool:
        """Whether every organization may use the account."""
        return self.organization_id is None

    @property
    def is_at_provider(self) -> bool:
        """Whether a provider's API keeps the files, by its own rules, and not a store of the gateway's."""
        return self.driver_class.capabilities.storage == "provider"

    @property
    def namespace(self) -> str:
        """The segment of storage keys that belongs to the owner; empty for an account that all share."""
        return "" if self.organization_id is None else namespace_of(self.organization_id)

    @property
    def driver_class(self) -> type[Driver]:
        """The driver's class. Raises ProviderConfigurationError when the driver does not exist."""
        return driver_class(self.driver)
