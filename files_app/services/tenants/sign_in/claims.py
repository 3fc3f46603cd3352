"""What a provider's claims mean here: a name, a role, organizations. Asks nobody and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from files_app.exceptions import NotAllowedError

#: The mightiest first: who has several has the first of them.
_MIGHT = ("superuser", "owner", "operator", "read-only")
GROUP_NAMES = {"owner": "Owner", "operator": "Operator", "read-only": "Read-only"}
EVERY = "*"
_LONGEST_SUBJECT = 255  # by OpenID Connect Core 2
_LONGEST = {"username": 150, "first_name": 150, "last_name": 150, "email": 254}


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in at the provider.

    role: one of `superuser`, `owner`, `operator`, `read-only`; empty where no claim gives one.
    organizations: names, `*` for every one; None where superusers give sight in the admin.
    """

    subject: str
    username: str
    first_name: str
    last_name: str
    email: str
    role: str
    organizations: frozenset[str] | None


def person_of(claims: Mapping[str, Any]) -> Person:
    """Return the person that the claims tell of. Raises NotAllowedError where they name none."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise NotAllowedError("The provider did not say who signed in: its token has no usable `sub`.")
    username = _text(claims, settings.OIDC_USERNAME_CLAIM, "username") or _text(claims, "email", "username")
    return Person(
        subject=subject,
        username=username or subject[: _LONGEST["username"]],
        first_name=_text(claims, "given_name", "first_name"),
        last_name=_text(claims, "family_name", "last_name"),
        email=_text(claims, "email", "email"),
        role=_role(claims),
        organizations=_organizations(claims),
    )


def has_roles(claims: Mapping[str, Any]) -> bool:
    """Whether the claim that gives roles is there at all."""
    return found(claims, settings.OIDC_ROLES_CLAIM) is not None


def found(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name; where none is so called, `a.b` is the member `b` of the claim `a`."""
    if name in claims:
        return claims[name]
    here: Any = claims
    for member in name.split("."):
        here = here.get(member) if isinstance(here, Mapping) else None
    return here


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    value = found(claims, name)
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str) and "\0" not in each]  # PostgreSQL takes none


def _text(claims: Mapping[str, Any], name: str, field: str) -> str:
    value = found(claims, name)
    printable = value.strip() if isinstance(value, str) and value.isprintable() else ""
    return printable if len(printable) <= _LONGEST[field] else ""


def _role(claims: Mapping[str, Any]) -> str:
    held = {settings.OIDC_ROLES.get(value) for value in _values(claims, settings.OIDC_ROLES_CLAIM)}
    return next((role for role in _MIGHT if role in held), "")


def _organizations(claims: Mapping[str, Any]) -> frozenset[str] | None:
    if not settings.OIDC_ORGANIZATIONS_CLAIM:
        return None
    values = _values(claims, settings.OIDC_ORGANIZATIONS_CLAIM)
    if not settings.OIDC_ORGANIZATIONS:
        return frozenset(values) - {EVERY}  # that word is the gateway's, and no provider's
    return frozenset(
        settings.OIDC_ORGANIZATIONS[each] for each in values if each in settings.OIDC_ORGANIZATIONS
    )
