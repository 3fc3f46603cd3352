"""Works the outbox of webhooks off: each endpoint in a turn of its own, one thread at a time."""

from __future__ import annotations

import time

from files_app.models import WebhookDelivery, WebhookEndpoint
from files_app.services.accounts import lanes
from files_app.services.accounts.lanes import Work
from files_app.services.webhooks.delivery import deliver

#: So long a thread stays with one endpoint before the others have their turn.
_TURN_SECONDS = 10.0


def deliver_soon(endpoint_pk: int) -> bool:
    """Let a thread of this worker send what is due to an endpoint; False when one does so already."""
    owner = WebhookEndpoint.objects.filter(pk=endpoint_pk).values_list("organization", flat=True).first()
    return owner is not None and _offer(endpoint_pk, owner)


def deliver_due() -> int:
    """Offer all endpoints' due webhooks to the process's threads and return how many turns were taken."""
    endpoints = WebhookEndpoint.objects.with_due().order_by("pk")
    return sum(_offer(pk, owner) for pk, owner in list(endpoints.values_list("pk", "organization")))


def _offer(endpoint_pk: int, owner: int) -> bool:
    return lanes.offer(Work.WEBHOOKS, endpoint_pk, lambda: _take_turn(endpoint_pk), owner=owner)


def _take_turn(endpoint_pk: int) -> bool:
    """Send what is due, oldest first; return whether the turn was too short for all."""
    ends = time.monotonic() + _TURN_SECONDS
    due = WebhookDelivery.objects.due().filter(endpoint=endpoint_pk).values_list("pk", flat=True)
    tried: set[int] = set()
    while (pk := due.first()) is not None and pk not in tried:
        if lanes.is_closing():
            return False
        if time.monotonic() > ends:
            return True
        tried.add(pk)
        deliver(pk)
    return False
