"""Who asks: the same value for an API key, a staff user, a command and the gateway itself."""

from __future__ import annotations

from dataclasses import dataclass

from files_app.models import AuditEvent
from files_app.services.index.limits import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request, for lookups and for the audit trail."""

    organization_id: int
    actor_type: str = AuditEvent.Actor.SYSTEM
    actor: str = ""
    api_key_id: int | None = None
    scopes: frozenset[str] = frozenset()
    ip: str | None = None
    request_id: str = ""
    limits: Limits = NO_LIMITS

    @property
    def person(self) -> str:
        """The name of a staff user or command; empty for a key, which files refer to."""
        return "" if self.api_key_id is not None else self.actor


def system_caller(organization_id: int = 0) -> Caller:
    """Return the gateway itself as a caller."""
    return Caller(organization_id=organization_id, actor_type=AuditEvent.Actor.SYSTEM, actor="gateway")
