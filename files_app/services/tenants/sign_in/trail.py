"""Sign-ins of staff in the audit trail: each that succeeds, and of those that fail as many as people make.

Whoever tries passwords by the thousand must not fill the trail. The metrics count every one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from files_app.models import AuditAction, AuditEvent
from files_app.observability import metrics
from files_app.services.index import audit, writability
from files_app.services.index.callers import Caller

WINDOW = timedelta(minutes=10)
#: Failures that are written down within a window, from one address and from all of them.
MOST_OF_ADDRESS = 5
MOST = 50


def record_success(caller: Caller) -> None:
    """Write down that somebody has signed in."""
    metrics.SIGN_INS.labels("ok").inc()
    with writability.worth_no_failure("sign_in_not_audited", actor=caller.actor, ip=caller.ip):
        audit.record(caller, AuditAction.USER_SIGN_IN, object_type="user", object_id=caller.actor)


def record_sign_out(caller: Caller) -> None:
    """Write down that somebody has signed out."""
    with writability.worth_no_failure("sign_out_not_audited", actor=caller.actor, ip=caller.ip):
        audit.record(caller, AuditAction.USER_SIGN_OUT, object_type="user", object_id=caller.actor)


def record_failure(name: str, *, ip: str | None, request_id: str = "", reason: str) -> None:
    """Write down that somebody has not been let in, unless too many were lately.

    name: as it was typed. It is kept only when a user has it: people type passwords into the wrong field.
    reason: why, in a word or two. The last event before the silence says so in its details.
    """
    metrics.SIGN_INS.labels("failed").inc()
    with writability.worth_no_failure("sign_in_not_audited", ip=ip, reason=reason):
        room = _room(ip)
        if room <= 0:
            return
        known = get_user_model()._default_manager.filter(username=name[:150]).exists()
        actor = name[:150] if known else ""
        last: dict[str, Any] = {"silent_minutes": int(WINDOW.total_seconds() // 60)} if room == 1 else {}
        caller = Caller(0, AuditEvent.Actor.USER, actor, ip=ip, request_id=request_id)
        audit.record(
            caller,
            AuditAction.USER_SIGN_IN,
            object_type="user",
            object_id=actor,
            result="failed",
            reason=reason,
            is_known=known,
            **last,
        )


def _room(ip: str | None) -> int:
    """Return how many more failures of an address may be written down now."""
    lately = AuditEvent.objects.filter(
        action=AuditAction.USER_SIGN_IN.value, created_at__gt=timezone.now() - WINDOW
    ).exclude(result="ok")
    addresses = list(lately.order_by("created_at").values_list("ip", flat=True)[:MOST])
    return min(MOST - len(addresses), MOST_OF_ADDRESS - addresses.count(ip))
