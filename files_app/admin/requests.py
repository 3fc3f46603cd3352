"""Who asks in the admin, and what they may see."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from files_app.models import AuditEvent
from files_app.observability import context
from files_app.services.index.callers import Caller
from files_app.services.tenants.staff import Reach, reach_of


def reach_for(request: HttpRequest) -> Reach:
    """Return what the user of the request may see, looked up once a request."""
    known = getattr(request, "_files_app_reach", None)
    if known is None:
        known = reach_of(request.user)
        request._files_app_reach = known  # type: ignore[attr-defined]  # where Django keeps such things too
    return cast(Reach, known)


def decides_for_tenants(request: HttpRequest) -> bool:
    """Whether the user may say whose files are whose: a superuser, who belongs to no organization."""
    return bool(getattr(request.user, "is_superuser", False)) and reach_for(request).sees_all


def caller_of(request: HttpRequest, organization_id: int | None) -> Caller:
    """Return the staff user as the origin of a change; the request's log line tells whose organization."""
    if organization_id:
        context.annotate(organization_id=organization_id)
    return Caller(
        organization_id=organization_id or 0,
        actor_type=AuditEvent.Actor.USER,
        actor=request.user.get_username(),
        ip=request.META.get("REMOTE_ADDR") or None,
        request_id=context.request_id(),
    )
