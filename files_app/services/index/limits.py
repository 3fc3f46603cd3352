"""What an organization and a key may ask of the gateway, as a request carries it along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from django.conf import settings

from files_app.models import ApiKey, Organization

Holder = Literal["key", "organization", "address"]


class Limit(NamedTuple):
    """At most `most` of something. name: under which it is counted; of one organization all begin alike."""

    holder: Holder
    name: str
    most: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one caller, without what is not limited: so most requests have nothing to count."""

    requests: tuple[Limit, ...] = ()  # this and the next two within a minute
    bytes: tuple[Limit, ...] = ()
    uploads: tuple[Limit, ...] = ()
    uploads_at_once: tuple[Limit, ...] = ()


NO_LIMITS = Limits()


def default_rates() -> dict[str, int]:
    """Return what an organization may do where nothing else is said, by the names of columns; 0: no limit."""
    return {
        "requests_per_minute": settings.REQUESTS_PER_MINUTE,
        "bytes_per_minute": settings.BYTES_PER_MINUTE,
        "uploads_per_minute": settings.UPLOADS_PER_MINUTE,
        "uploads_at_once": settings.ORGANIZATION_UPLOADS_AT_ONCE,
    }


def default_key_rates() -> dict[str, int]:
    """Return the same of one key."""
    return {
        "requests_per_minute": settings.KEY_REQUESTS_PER_MINUTE,
        "bytes_per_minute": settings.KEY_BYTES_PER_MINUTE,
        "uploads_per_minute": settings.KEY_UPLOADS_PER_MINUTE,
        "uploads_at_once": settings.UPLOADS_AT_ONCE,
    }


def limits_of(organization: Organization, key: ApiKey | None = None) -> Limits:
    """Return what holds for requests with a key, or for what staff sends on behalf of an organization."""
    # Redis Cluster keeps together what has the same part in braces.
    place = f"{{org-{organization.pk}}}"

    of_organization, of_key = default_rates(), default_key_rates()

    def both(what: str) -> tuple[Limit, ...]:
        own = getattr(organization, what)
        found = [Limit("organization", f"{place}:{what}", of_organization[what] if own is None else own)]
        if key is not None:
            own = getattr(key, what)
            found.append(Limit("key", f"{place}:{what}:key-{key.pk}", of_key[what] if own is None else own))
        return tuple(limit for limit in found if limit.most)

    return Limits(
        requests=both("requests_per_minute"),
        bytes=both("bytes_per_minute"),
        uploads=both("uploads_per_minute"),
        uploads_at_once=both("uploads_at_once"),
    )
