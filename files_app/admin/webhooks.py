"""Webhooks: the list of endpoints, and each with its page of buttons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from files_app.admin.base import GatewayAdmin
from files_app.admin.fields import ModelForm
from files_app.admin.filters import OrganizationFilter
from files_app.admin.formatting import badge, shown_age, two_lines
from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of
from files_app.admin.webhook_log import delivery_badge
from files_app.exceptions import GatewayError, InvalidRequestError
from files_app.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from files_app.models.webhooks import SUBSCRIBABLE, all_kinds
from files_app.services.webhooks import endpoints
from providers.exceptions import ProviderConfigurationError
from providers.parsing import split_url

_SHOWN_DELIVERIES = 10
_HOUR = 3_600
_KINDS = [(kind, kind) for kind in SUBSCRIBABLE]


class EndpointForm(ModelForm):
    """Where an organization is told, and what."""

    url = forms.CharField(
        label="URL",
        max_length=2_048,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="https://, on the public internet. Redirects are not followed.",
    )
    kinds = forms.MultipleChoiceField(
        label="Events",
        choices=_KINDS,
        initial=all_kinds,
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookEndpoint
        fields = ["organization", "name", "url", "kinds"]
        help_texts = {"name": "Says who listens, such as billing. Letters, digits, dots, hyphens."}

    def clean_url(self) -> str:
        """Refuse what no webhook may be sent to."""
        url: str = self.cleaned_data["url"]
        try:
            endpoints.check_address(url, is_operators=False)
        except InvalidRequestError as exc:
            raise forms.ValidationError(exc.message) from None
        return url


class ChangeForm(EndpointForm):
    """What can be changed of an endpoint that is there. An address that stays is not judged anew."""

    class Meta:
        model = WebhookEndpoint
        fields = ["url", "kinds"]

    def clean_url(self) -> str:
        """Refuse a new address that no webhook may be sent to."""
        url: str = self.cleaned_data["url"]
        return url if url == self.initial["url"] else super().clean_url()


class RotationForm(forms.Form):
    """What becomes of the old secret."""

    overlap = forms.TypedChoiceField(
        label="The old secret",
        choices=[
            (24 * _HOUR, "signs too for 24 hours: time to give receivers the new one"),
            (7 * 24 * _HOUR, "signs too for 7 days"),
            (0, "signs nothing any more: it has leaked"),
        ],
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=24 * _HOUR,
        widget=widgets.UnfoldAdminRadioSelectWidget,
    )


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(GatewayAdmin):
    """Where organizations are told what happens to their files."""

    object_type = "webhook"
    commands: ClassVar = {
        "view": "webhooks list",
        "add": "webhooks create",
        "change": "webhooks change, webhooks rotate, webhooks enable, webhooks disable, webhooks test",
        "delete": "webhooks delete",
    }
    list_title = "Webhooks"
    row_name = "webhook"
    empty_title = "No webhook yet"
    empty_text = (
        "A webhook tells a program of yours what happens: files that were stored, deleted or lost, a quota "
        "that fills up, an account that fails. Create one, and verify its signatures with the secret."
    )
    form = EndpointForm
    list_display = ["shown_name", "organization", "status", "shown_kinds", "waiting", "created"]
    list_display_links = ["shown_name"]
    list_select_related = ["organization"]
    list_filter = [OrganizationFilter]
    search_fields = ["name"]
    search_help_text = "Name"
    sortable_by = ["shown_name", "created"]
    ordering = ["name", "id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        rows: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return rows.defer("secrets")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count what waits for the endpoints of the page."""
        found = super().get_changelist_instance(request)
        pks = [row.pk for row in found.result_list]
        counts = WebhookEndpoint.objects.filter(pk__in=pks).annotate(
            pending=Count("deliveries", filter=Q(deliveries__state=DeliveryState.PENDING)),
            dead=Count("deliveries", filter=Q(deliveries__state=DeliveryState.DEAD)),
        )
        numbers = {pk: (pending, dead) for pk, pending, dead in counts.values_list("pk", "pending", "dead")}
        for row in found.result_list:
            row.numbers = numbers.get(row.pk, (0, 0))
        return found

    # -- making ----------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        """Create it through the service; its secret is kept for this one answer."""
        given = form.cleaned_data
        row, secret = endpoints.create_endpoint(
            obj.organization,
            name=obj.name,
            url=given["url"],
            kinds=given["kinds"],
            caller=caller_of(request, obj.organization_id),
        )
        obj.pk = row.pk
        request._files_app_new_secret = secret  # type: ignore[attr-defined]  # never into session or messages

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret, this once."""
        return self._shown_once(request, obj, request._files_app_new_secret)  # type: ignore[attr-defined]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Say in words what only the service knows to be wrong, such as one endpoint too many."""
        try:
            return super().add_view(request, form_url, extra_context)
        except GatewayError as exc:
            return not_possible(request, "The webhook cannot be made", exc, self.opts)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Leave it to the service, which has written it."""

    # -- one endpoint ------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show an endpoint; on POST change, test or switch it, or rotate its secret."""
        row = self.row_in_sight(request, object_id)
        if row is None:
            return self.not_in_sight(request, object_id)
        can_change = self.has_change_permission(request, row)
        form = ChangeForm(request.POST if "save" in request.POST else None, instance=row)
        if request.method == "POST" and can_change:
            try:
                answer = self._done(request, row, form)
            except (GatewayError, ProviderConfigurationError) as exc:
                return not_possible(request, "That cannot be done", exc, self.opts)
            if answer is not None:
                return answer
        return self._page(request, WebhookEndpoint.objects.get(pk=row.pk), form, can_change=can_change)

    def _done(self, request: HttpRequest, row: WebhookEndpoint, form: ChangeForm) -> HttpResponse | None:
        """Do what the button says; None where the page shows what is wrong."""
        caller = caller_of(request, row.organization_id)
        row = WebhookEndpoint.objects.select_related("organization").get(pk=row.pk)
        rotation = RotationForm(request.POST)
        if form.is_bound:
            if not form.is_valid():
                return None
            given = {"url": form.cleaned_data["url"], "kinds": form.cleaned_data["kinds"]}
            endpoints.change_endpoint(row, caller=caller, is_operators=False, **given)
        elif "test" in request.POST:
            self._tested(request, endpoints.test_endpoint(row, caller=caller))
        elif "switch" in request.POST:
            endpoints.switch_endpoint(row, is_enabled=request.POST["switch"] == "on", caller=caller)
        elif rotation.is_valid():
            secret = endpoints.rotate_secret(row, caller=caller, overlap=rotation.cleaned_data["overlap"])
            return self._shown_once(request, row, secret)
        return redirect(request.path)

    def _tested(self, request: HttpRequest, sent: WebhookDelivery) -> None:
        if sent.state == DeliveryState.DELIVERED:
            messages.success(request, f"The endpoint answered {sent.status_code}.")
        else:
            messages.error(request, f"The test did not arrive: {sent.last_error}.")

    def _page(
        self, request: HttpRequest, row: WebhookEndpoint, form: ChangeForm, *, can_change: bool
    ) -> HttpResponse:
        log = reverse("admin:files_app_webhookdelivery_changelist")
        context = {
            "opts": self.opts,
            "endpoint": row,
            "status": endpoint_badge(row),
            "told": told_in_words(row),
            "shown_url": row.url if can_change else origin_of(row.url),
            "form": form,
            "rotation": RotationForm(),
            "can_change": can_change,
            "can_delete": self.has_delete_permission(request, row),
            "deliveries": [
                (each, delivery_badge(each))
                for each in row.deliveries.order_by("-created_at", "-pk")[:_SHOWN_DELIVERIES]
            ],
            "log": f"{log}?endpoint={row.pk}",
        }
        return page(request, "webhook.html", row.name, context)

    def _shown_once(self, request: HttpRequest, row: WebhookEndpoint, secret: str) -> HttpResponse:
        context = {"opts": self.opts, "endpoint": row, "secret": secret}
        response = page(request, "webhook_secret.html", "Copy the secret now", context)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    # -- removing ----------------------------------------------------------------------------------------

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the endpoint alone: its log goes with it, and may be long."""
        return [str(each) for each in objs], {"webhook endpoints": len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        """Remove it through the service."""
        endpoints.delete_endpoint(obj, caller=caller_of(request, obj.organization_id))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave it to the service, which has written it."""

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description="Webhook", ordering="name")
    def shown_name(self, row: WebhookEndpoint) -> SafeString:
        """Show its name, and the host that is told: the rest of an address is often a secret."""
        return two_lines(row.name, origin_of(row.url))

    @admin.display(description="State")
    def status(self, row: WebhookEndpoint) -> SafeString:
        """Show whether it is told."""
        return endpoint_badge(row)

    @admin.display(description="Events")
    def shown_kinds(self, row: WebhookEndpoint) -> SafeString:
        """Show what it is told."""
        text = told_in_words(row)
        return format_html('<span class="fg-clip" title="{}">{}</span>', text, text)

    @admin.display(description="Waiting")
    def waiting(self, row: Any) -> SafeString:
        """Show how much waits, and how much is given up."""
        pending, dead = row.numbers
        return two_lines(f"{pending:,}", f"{dead:,} dead" if dead else "none dead")

    @admin.display(description="Created", ordering="created_at")
    def created(self, row: WebhookEndpoint) -> SafeString:
        """Show when."""
        return shown_age(row.created_at)


def told_in_words(row: WebhookEndpoint) -> str:
    """Return what an endpoint is told."""
    return "all" if len(row.kinds) == len(SUBSCRIBABLE) else ", ".join(row.kinds)


def origin_of(url: str) -> str:
    """Return scheme and host of an address."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc}"


def endpoint_badge(row: WebhookEndpoint) -> SafeString:
    """Return the badge of an endpoint."""
    if row.disabled_reason and not row.is_enabled:
        return badge("gone", "critical", row.disabled_reason)
    if not row.is_enabled:
        return badge("off", "neutral", "It is told nothing.")
    if row.failures:
        return badge("failing", "warning", f"{row.failures} failures in a row")
    return badge("on", "ok", "It is told what happens.")
