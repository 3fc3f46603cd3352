"""What a staff user may see: every query of the admin goes through a `Reach`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model, Q, QuerySet

from files_app.models import Organization, ProviderAccount, StaffAccess

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Reach:
    """The organizations that somebody may see; None means every one."""

    organization_ids: frozenset[int] | None

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden."""
        return self.organization_ids is None

    @property
    def only(self) -> int | None:
        """The one organization in sight, where it is one: what happens is in its audit trail."""
        ids = self.organization_ids or ()
        return next(iter(ids)) if len(ids) == 1 else None

    def limit(self, rows: QuerySet[M], path: str = "organization") -> QuerySet[M]:
        """Return the rows whose organization, found at `path`, is in sight."""
        if self.organization_ids is None:
            return rows
        return rows.filter(**{f"{path}__in": self.organization_ids})

    def organizations(self) -> QuerySet[Organization]:
        """Return the organizations in sight."""
        return self.limit(Organization.objects.all(), "pk")

    def usable_accounts(self) -> QuerySet[ProviderAccount]:
        """Return the accounts that these organizations may use: their own and the shared ones."""
        accounts = ProviderAccount.objects.defer("credentials")
        if self.organization_ids is None:
            return accounts
        return accounts.filter(Q(organization__in=self.organization_ids) | Q(organization=None))

    @property
    def cache_key(self) -> str:
        """Return a name for the set, for what is computed once and kept."""
        if self.organization_ids is None:
            return "all"
        ids = ",".join(map(str, sorted(self.organization_ids)))
        return hashlib.sha256(ids.encode()).hexdigest()


NOTHING = Reach(frozenset())
EVERYTHING = Reach(None)


def reach_of(user: AbstractBaseUser | AnonymousUser) -> Reach:
    """Return what a user may see: nothing, unless somebody granted it."""
    if not user.is_active:
        return NOTHING
    if getattr(user, "is_superuser", False):
        return EVERYTHING
    access = StaffAccess.objects.filter(user=user.pk).prefetch_related("organizations").first()
    if access is None:
        return NOTHING
    if access.sees_all_organizations:
        return EVERYTHING
    return Reach(frozenset(organization.pk for organization in access.organizations.all()))
