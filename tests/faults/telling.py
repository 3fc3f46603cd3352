"""Orders of the operator's shell about webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils import timezone

from files_app.models import Organization, WebhookDelivery
from files_app.services.index.callers import system_caller
from files_app.services.webhooks import delivery
from files_app.services.webhooks.endpoints import create_endpoint


def make_webhook(organization: int, url: str) -> str:
    """Create an endpoint and return its secret."""
    row = Organization.objects.get(pk=organization)
    caller = system_caller(organization)
    return create_endpoint(row, name="hooks", url=url, caller=caller, is_operators=True)[1]


def deliver_webhooks(organization: int) -> list[str]:
    """Send what is due to an organization and return how each went."""
    due = WebhookDelivery.objects.due().filter(endpoint__organization=organization)
    return [str(delivery.deliver(pk)) for pk in due.values_list("pk", flat=True)]


def end_webhook_leases() -> None:
    """Let time pass until the leases of who died have run out."""
    WebhookDelivery.objects.exclude(lease_token="").update(lease_expires_at=timezone.now())


ORDERS: dict[str, Callable[..., Any]] = {
    order.__name__: order for order in (make_webhook, deliver_webhooks, end_webhook_leases)
}
