"""What staff may do and see: one role each, and organizations. A role is a Django group, or superuser."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from django.contrib.auth.models import Group, User

from files_app.models import Organization, StaffAccess

SUPERUSER: Final = "superuser"
#: Of the roles that a migration makes; what people change in them is theirs to explain.
EXPLAINED: Final = {
    "Read-only": "sees files, deletions, accounts, keys and the audit trail; not what is in the files",
    "Operator": "also reads contents, uploads, deletes, sets expiry, retries deletions, tests and syncs",
    "Owner": "also makes, rotates and revokes API keys, and makes and changes provider accounts and webhooks",
    SUPERUSER: "everything, in every organization; the only role that manages staff",
}
#: Without what is easily taken for something else.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP_LENGTH = 4, 5


def roles() -> list[tuple[str, str]]:
    """Return the names of the roles, the narrowest first, each with what it may do."""
    names = list(Group.objects.order_by("pk").values_list("name", flat=True))
    return [(name, EXPLAINED.get(name, "a role of your own")) for name in (*names, SUPERUSER)]


def role_of(user: User) -> str:
    """Return the name of a user's role; empty for one without. Of several groups the widest counts."""
    if user.is_superuser:
        return SUPERUSER
    return user.groups.order_by("-pk").values_list("name", flat=True).first() or ""


def set_role(user: User, role: str) -> None:
    """Give a user one role and no other."""
    user.is_superuser = role == SUPERUSER
    user.save(update_fields=["is_superuser"])
    user.groups.set(Group.objects.filter(name=role))


def set_sight(user: User, *, sees_all: bool, organizations: Iterable[Organization]) -> None:
    """Say which organizations a user sees. A superuser sees every one, whatever stands here."""
    access, _ = StaffAccess.objects.update_or_create(user=user, defaults={"sees_all_organizations": sees_all})
    access.organizations.set(organizations)


def generated_password() -> str:
    """Return a new password of some 115 bits, in groups that can be read aloud."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def is_last_superuser(user: User) -> bool:
    """Whether nobody else could manage staff."""
    others = User.objects.filter(is_superuser=True, is_active=True, is_staff=True).exclude(pk=user.pk)
    return user.is_superuser and user.is_active and not others.exists()
