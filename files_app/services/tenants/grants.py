"""What a staff user may do and see, as the audit trail tells it: names, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from files_app.models import StaffAccess

EVERY = "every organization"


@dataclass(frozen=True, slots=True)
class Grants:
    """What somebody holds. roles: names of groups, `superuser` beside them; none where signing in is off."""

    roles: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()


def grants_of(user: User) -> Grants:
    """Return what the database says that a user holds now."""
    row = User.objects.filter(pk=user.pk).first()
    if row is None or not (row.is_active and row.is_staff):
        return Grants()
    roles = set(row.groups.values_list("name", flat=True)) | ({"superuser"} if row.is_superuser else set())
    access = StaffAccess.objects.filter(user=row).first()
    names = set(access.organizations.values_list("name", flat=True)) if access else set()
    if row.is_superuser or (access and access.sees_all_organizations):
        names = {EVERY}
    return Grants(frozenset(roles), frozenset(names))


def changes(before: Grants, after: Grants) -> dict[str, Any]:
    """Return what was granted and withdrawn, for an event's details; empty when nothing was."""
    found = {
        "roles_granted": after.roles - before.roles,
        "roles_withdrawn": before.roles - after.roles,
        "organizations_granted": after.organizations - before.organizations,
        "organizations_withdrawn": before.organizations - after.organizations,
    }
    return {name: sorted(names) for name, names in found.items() if names}
