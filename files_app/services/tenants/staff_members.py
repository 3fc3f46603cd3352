"""Staff as commands change it: made, changed and removed, each with what was granted in the audit trail."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditAction, Organization
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants import staff_roles
from files_app.services.tenants.grants import Grants, changes, grants_of


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a user; None leaves it as it is.

    organizations: those in sight; sees_all: every one, whatever they are.
    """

    role: str | None = None
    organizations: Collection[Organization] | None = None
    sees_all: bool = False
    email: str | None = None
    can_sign_in: bool | None = None


def member_named(name: str) -> User:
    """Return the user of that name. Raises InvalidRequestError."""
    found = User.objects.filter(username=name).first()
    if found is None:
        raise InvalidRequestError(
            f"There is no member of staff '{name[:150]}'. `manage.py staff list` shows the names."
        )
    return found


def create_member(name: str, wanted: Changes, *, caller: Caller) -> tuple[User, str]:
    """Make a user who can sign in and return it with its password, which nothing can show again.

    Raises InvalidRequestError.
    """
    if User.objects.filter(username=name).exists():
        raise InvalidRequestError(f"There is a member of staff '{name}' already: `manage.py staff change`.")
    password = staff_roles.generated_password()
    user = User(username=name, email=wanted.email or "", is_staff=True)
    user.set_password(password)
    try:
        user.full_clean()
    except ValidationError as exc:
        raise InvalidRequestError(" ".join(exc.messages)) from exc
    with transaction.atomic():
        user.save()
        _apply(user, wanted)
        _record(user, AuditAction.USER_CREATE, Grants(), caller)
    return user, password


def change_member(user: User, wanted: Changes, *, caller: Caller) -> dict[str, Any]:
    """Change a user and return what was granted and withdrawn. Raises InvalidRequestError."""
    demotes = wanted.role not in {None, staff_roles.SUPERUSER} or wanted.can_sign_in is False
    if demotes:
        _refuse_to_lose_the_last(user)
    with transaction.atomic():
        before = grants_of(user)
        _apply(user, wanted)
        return _record(user, AuditAction.USER_UPDATE, before, caller)


def new_password(user: User, *, caller: Caller) -> str:
    """Replace a user's password and return the new one; whoever is signed in with the old one is out."""
    password = staff_roles.generated_password()
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        name = user.get_username()
        audit.record(
            caller, AuditAction.USER_UPDATE, object_type="user", object_id=name, changed=["password"]
        )
    return password


def delete_member(user: User, *, caller: Caller) -> None:
    """Remove a user. Raises InvalidRequestError for the last one who can manage staff."""
    _refuse_to_lose_the_last(user)
    with transaction.atomic():
        name, withdrawn = user.get_username(), changes(grants_of(user), Grants())
        user.delete()
        audit.record(caller, AuditAction.USER_DELETE, object_type="user", object_id=name, **withdrawn)


def _apply(user: User, wanted: Changes) -> None:
    values = {"email": wanted.email, "is_active": wanted.can_sign_in}
    given = {name: value for name, value in values.items() if value is not None}
    if wanted.can_sign_in:
        given["is_staff"] = True
    if given:
        User.objects.filter(pk=user.pk).update(**given)
        user.refresh_from_db()
    if wanted.role is not None:
        known = [name for name, _ in staff_roles.roles()]
        if wanted.role not in known:
            raise InvalidRequestError(f"There is no role '{wanted.role}'. The roles are: {', '.join(known)}.")
        staff_roles.set_role(user, wanted.role)
    if wanted.sees_all or wanted.organizations is not None:
        seen = () if wanted.sees_all else wanted.organizations or ()
        staff_roles.set_sight(user, sees_all=wanted.sees_all, organizations=seen)


def _record(user: User, action: AuditAction, before: Grants, caller: Caller) -> dict[str, Any]:
    found = changes(before, grants_of(user))
    audit.record(caller, action, object_type="user", object_id=user.get_username(), **found)
    return found


def _refuse_to_lose_the_last(user: User) -> None:
    if staff_roles.is_last_superuser(user):
        raise InvalidRequestError("This is the only superuser: make another first, or nobody manages staff.")
