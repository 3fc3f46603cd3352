"""Tells the audit trail who signs in to the admin, who does not get in, and who leaves."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from files_app.models import AuditEvent
from files_app.observability import context
from files_app.services.index.callers import Caller
from files_app.services.tenants.sign_in import trail


def note_failure(request: HttpRequest, reason: str, name: str = "") -> None:
    """Write down that somebody was not let in, once a request."""
    if getattr(request, "_files_app_sign_in_failed", False):
        return
    request._files_app_sign_in_failed = True  # type: ignore[attr-defined]  # where Django keeps such things too
    address = request.META.get("REMOTE_ADDR") or None
    trail.record_failure(name, ip=address, request_id=context.request_id(), reason=reason)


@receiver(user_logged_in)
def signed_in(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    trail.record_success(_caller(request, user))


@receiver(user_logged_out)
def signed_out(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if user is not None:
        trail.record_sign_out(_caller(request, user))


@receiver(user_login_failed)
def not_signed_in(sender: Any, credentials: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        is_locked = getattr(request, "axes_locked_out", False)
        note_failure(request, "locked out" if is_locked else "password", str(credentials.get("username", "")))


def _caller(request: HttpRequest, user: Any) -> Caller:
    """Return the user as a caller: while somebody signs in or out, the request's own user is another."""
    return Caller(
        organization_id=0,
        actor_type=AuditEvent.Actor.USER,
        actor=user.get_username(),
        ip=request.META.get("REMOTE_ADDR") or None,
        request_id=context.request_id(),
    )
