"""What operators name of webhooks: endpoints and messages. Raises InvalidRequestError with what exists."""

from __future__ import annotations

from argparse import Namespace

from files_app.exceptions import InvalidRequestError
from files_app.management.references import organization_named
from files_app.models import WebhookDelivery, WebhookEndpoint


def endpoint_named(arguments: Namespace) -> WebhookEndpoint:
    """Return the endpoint that `endpoint` names in the organization of --organization."""
    organization = organization_named(arguments.organization)
    rows = organization.webhook_endpoints.select_related("organization")
    found = rows.filter(name=arguments.endpoint).first()
    if found is None:
        known = ", ".join(rows.values_list("name", flat=True)[:20]) or "none"
        raise InvalidRequestError(
            f"{organization.name} has no webhook endpoint '{arguments.endpoint}'. There are: {known}."
        )
    return found


def delivery_of(message_id: str, arguments: Namespace) -> list[WebhookDelivery]:
    """Return what was or is to be sent of a message: one for each endpoint of the organization."""
    rows = WebhookDelivery.objects.select_related("endpoint__organization").filter(
        message_id=message_id, endpoint__organization=organization_named(arguments.organization)
    )
    if arguments.endpoint:
        rows = rows.filter(endpoint=endpoint_named(arguments))
    found = list(rows)
    if not found:
        raise InvalidRequestError(
            f"There is no message '{message_id}'. `manage.py webhooks deliveries` lists what there is."
        )
    return found


def given_up(arguments: Namespace) -> list[WebhookDelivery]:
    """Return what was given up lately: of the organization, or of one endpoint of it."""
    rows = WebhookDelivery.objects.given_up().filter(
        endpoint__organization=organization_named(arguments.organization)
    )
    if arguments.endpoint:
        rows = rows.filter(endpoint=endpoint_named(arguments))
    return list(rows.select_related("endpoint__organization").defer("payload").order_by("pk"))
