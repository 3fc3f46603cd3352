"""The log of webhooks: what endpoints were sent and are to be sent, and the button that sends it again."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.admin.base import ReadOnlyAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.filters import GIVEN_UP, LATE, ChoiceFilter, NumberFilter, OrganizationFilter
from files_app.admin.formatting import NOTHING, badge, identifier, shown_age, two_lines
from files_app.admin.pages import page
from files_app.admin.requests import caller_of, reach_for
from files_app.models import DeliveryState, EventKind, WebhookDelivery, WebhookEndpoint
from files_app.services.webhooks import endpoints

#: state -> (tone of its badge, what it means)
_STATES = {
    DeliveryState.PENDING: ("info", "It is sent, or sent again, by itself."),
    DeliveryState.DELIVERED: ("ok", "Its endpoint has taken it."),
    DeliveryState.DEAD: ("critical", "It is not tried any more."),
}


def delivery_badge(row: WebhookDelivery) -> SafeString:
    """Return the badge of a delivery."""
    tone, meaning = _STATES[DeliveryState(row.state)]
    return badge(row.state, tone, meaning)


class DeliveryStateFilter(ChoiceFilter):
    """By how a delivery stands."""

    title = "state"
    parameter_name = "state"
    column = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        states = [(state.value, state.value) for state in DeliveryState]
        return [*states, (LATE, "tried for more than an hour"), (GIVEN_UP, "given up this week")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == GIVEN_UP:
            return queryset & WebhookDelivery.objects.given_up()
        if self.value() == LATE:
            return queryset & WebhookDelivery.objects.late()
        return super().queryset(request, queryset)


class KindFilter(ChoiceFilter):
    """By what was told."""

    title = "event"
    parameter_name = "event"
    column = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value) for kind in EventKind]


class EndpointFilter(NumberFilter):
    """By endpoint, of those in sight."""

    title = "webhook"
    parameter_name = "endpoint"
    column = "endpoint_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = reach_for(request).limit(WebhookEndpoint.objects.order_by("name"), "organization")
        return [(str(pk), name) for pk, name in rows.values_list("pk", "name")[:100]]


class DeliveryOrganizationFilter(OrganizationFilter):
    """By the organization of the endpoint."""

    column = "endpoint__organization_id"


def _resend(request: HttpRequest, row: WebhookDelivery, answers: dict[str, Any]) -> str:
    endpoints.resend(row, caller=caller_of(request, row.endpoint.organization_id))
    return "sent again"


RESEND = BulkAction(
    name="resend_webhooks",
    title="Send again",
    verb="Send",
    run=_resend,
    warning="Receivers get the same webhook-id, by which they know what they have had.",
    command="webhooks resend",
)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What endpoints were sent, and are to be sent."""

    organization_path = "endpoint__organization"
    object_type = "webhook"
    commands: ClassVar = {"view": "webhooks deliveries"}
    list_title = "Webhook deliveries"
    empty_title = "Nothing was sent"
    empty_text = "Each event for each webhook appears here for 30 days, with what was answered."
    list_display = ["shown_kind", "endpoint_name", "shown_state", "answer", "created"]
    list_display_links = ["shown_kind"]
    list_select_related = ["endpoint__organization"]
    list_filter = [DeliveryStateFilter, EndpointFilter, KindFilter, DeliveryOrganizationFilter]
    search_fields = ["message_id"]
    search_help_text = "webhook-id"
    sortable_by: ClassVar[list[str]] = []
    ordering = ["-created_at", "-id"]
    actions = [as_admin_action(RESEND, "change")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows: QuerySet[WebhookDelivery] = super().get_queryset(request)
        return rows.defer("endpoint__secrets")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(message_id=term) if term else queryset), False

    def has_delete_permission(self, request: HttpRequest, obj: WebhookDelivery | None = None) -> bool:
        """They leave by their age, or with their endpoint."""
        return False

    def audit_id(self, row: Any) -> str:
        """Return the endpoint's name."""
        return str(row.endpoint.name)

    def show(self, request: HttpRequest, row: WebhookDelivery) -> HttpResponse:
        """Show what was sent."""
        context = {
            "opts": self.opts,
            "delivery": row,
            "state": delivery_badge(row),
            "payload": json.dumps(json.loads(row.payload), indent=2, ensure_ascii=False),
            "can_resend": self.has_change_permission(request, row) and row.endpoint.is_enabled,
        }
        return page(request, "webhook_delivery.html", row.kind, context)

    @admin.display(description="Event")
    def shown_kind(self, row: WebhookDelivery) -> SafeString:
        """Show what was told, and the message's id."""
        return two_lines(row.kind, identifier(row.message_id))

    @admin.display(description="Webhook")
    def endpoint_name(self, row: WebhookDelivery) -> SafeString:
        """Show to whom."""
        return two_lines(row.endpoint.name, row.endpoint.organization.name)

    @admin.display(description="State")
    def shown_state(self, row: WebhookDelivery) -> SafeString:
        """Show how it stands, and what comes next."""
        attempts = f"{row.attempts} attempt{'s' if row.attempts != 1 else ''}"
        return two_lines(delivery_badge(row), attempts)

    @admin.display(description="Answer")
    def answer(self, row: WebhookDelivery) -> SafeString:
        """Show what the endpoint said last."""
        said = row.last_error or (f"answered {row.status_code}" if row.status_code else "")
        return format_html('<span class="fg-clip" title="{}">{}</span>', said, said) if said else NOTHING

    @admin.display(description="When")
    def created(self, row: WebhookDelivery) -> SafeString:
        """Show when it happened."""
        return shown_age(row.created_at)
