"""Staff that a provider vouches for: made at its first sign-in, and made to fit its claims at each.

A user is found by issuer and subject alone. Names and addresses of mail can be chosen or handed on, so none
of them leads to a user who is there already: a person at the command line links those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from files_app.exceptions import InvalidRequestError, NotAllowedError, TemporaryError
from files_app.models import AuditAction, AuditEvent, Organization, StaffAccess, StaffIdentity
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.sign_in.claims import EVERY, GROUP_NAMES, Person, person_of
from files_app.services.tenants.sign_in.sessions import end_sessions

log = structlog.get_logger("sign_in")


def admit(claims: Mapping[str, Any], *, ip: str | None, request_id: str = "") -> User:
    """Return the user whom verified claims tell of, with the role and the sight that they give.

    Whoever has no role any more loses what he had before he is refused. Raises NotAllowedError, and
    TemporaryError when the same person signs in twice at once.
    """
    person = person_of(claims)
    caller = Caller(0, AuditEvent.Actor.USER, person.username, ip=ip, request_id=request_id)
    try:
        with transaction.atomic():
            user, refusal = _settle(person, caller)
            _tell(caller, person, user, refusal)
    except IntegrityError:
        raise TemporaryError("The same person signed in elsewhere at this moment. Sign in again.") from None
    if user is None or refusal:
        raise NotAllowedError(refusal)
    return user


def link(user: User, subject: str, *, caller: Caller) -> None:
    """Let the person `subject` of the provider be this user. Raises InvalidRequestError."""
    if not settings.OIDC_ISSUER:
        raise InvalidRequestError("OIDC_ISSUER is not set, so there is nobody to link.")
    if StaffIdentity.objects.filter(issuer=settings.OIDC_ISSUER, subject=subject).exclude(user=user).exists():
        raise InvalidRequestError(f"Another user is '{subject}' already: unlink that one first.")
    with transaction.atomic():
        StaffIdentity.objects.update_or_create(
            user=user, defaults={"issuer": settings.OIDC_ISSUER, "subject": subject}
        )
        audit.record(
            caller, AuditAction.USER_LINK, object_type="user", object_id=user.username, subject=subject
        )


def unlink(user: User, *, caller: Caller) -> bool:
    """Let no person of the provider be this user any more, end what is open, and return whether one was."""
    with transaction.atomic():
        removed, _ = StaffIdentity.objects.filter(user=user).delete()
        if removed:
            end_sessions(user)
            audit.record(caller, AuditAction.USER_UNLINK, object_type="user", object_id=user.username)
    return bool(removed)


def _settle(person: Person, caller: Caller) -> tuple[User | None, str]:
    """Return the user, None for nobody, and why he is refused, empty where he is not."""
    identity = (
        StaffIdentity.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(issuer=settings.OIDC_ISSUER, subject=person.subject)
        .first()
    )
    user = identity.user if identity else None
    if user is not None and not user.is_active:
        return user, f"The user {user.username} is switched off here. Ask an administrator of the gateway."
    if not person.role:
        if user is not None:
            _grant(user, person, caller)
        return user, (
            f"{settings.OIDC_NAME} knows you, but gives you no role here. Ask whoever manages its groups "
            "for one that the gateway knows, then sign in again."
        )
    if user is None:
        if User.objects.filter(username__iexact=person.username).exists():
            return None, (
                f"There is a user {person.username} here already who is not linked to you. Ask an "
                f"administrator of the gateway: manage.py sign_in link {person.username} {person.subject}"
            )
        user = _made(person, caller)
    _grant(user, person, caller)
    return user, ""


def _made(person: Person, caller: Caller) -> User:
    user = User.objects.create_user(person.username, is_staff=True)  # it has no password
    StaffIdentity.objects.create(user=user, issuer=settings.OIDC_ISSUER, subject=person.subject)
    audit.record(caller, AuditAction.USER_CREATE, object_type="user", object_id=user.username)
    return user


def _grant(user: User, person: Person, caller: Caller) -> None:
    """Give the user exactly what the claims give. Where that is other than before, all sessions end."""
    before = _held(user)
    user.first_name, user.last_name, user.email = person.first_name, person.last_name, person.email
    user.is_staff, user.is_superuser = bool(person.role), person.role == "superuser"
    user.save(update_fields=["first_name", "last_name", "email", "is_staff", "is_superuser"])
    name = GROUP_NAMES.get(person.role)
    user.groups.set(Group.objects.filter(name=name) if name else [])
    if person.organizations is not None:
        _show(user, person.organizations if person.role else frozenset())
    after = _held(user)
    if after != before:
        end_sessions(user)
        audit.record(
            caller,
            AuditAction.USER_UPDATE,
            object_type="user",
            object_id=user.username,
            before=before,
            after=after,
        )


def _show(user: User, names: frozenset[str]) -> None:
    access, _ = StaffAccess.objects.get_or_create(user=user)
    sees_all = EVERY in names
    if access.sees_all_organizations != sees_all:
        access.sees_all_organizations = sees_all
        access.save(update_fields=["sees_all_organizations"])
    organizations = Organization.objects.filter(name__in=names)
    access.organizations.set(organizations)
    if unknown := sorted(names - {EVERY} - {each.name for each in organizations}):
        log.warning(
            "oidc_organizations_unknown", user=user.username, number=len(unknown), first=unknown[0][:64]
        )


def _held(user: User) -> dict[str, Any]:
    """Return what somebody may do and see, as the audit trail tells it."""
    access = StaffAccess.objects.filter(user=user).first()
    roles = sorted(user.groups.values_list("name", flat=True))
    return {
        "is_staff": user.is_staff,
        "roles": ["superuser", *roles] if user.is_superuser else roles,
        "sees_all_organizations": bool(access and access.sees_all_organizations),
        "organizations": sorted(access.organizations.values_list("name", flat=True)) if access else [],
    }


def _tell(caller: Caller, person: Person, user: User | None, refusal: str) -> None:
    audit.record(
        caller,
        AuditAction.USER_OIDC,
        object_type="user",
        object_id=user.username if user else person.username,
        result="refused" if refusal else "ok",
        issuer=settings.OIDC_ISSUER,
        subject=person.subject,
    )
