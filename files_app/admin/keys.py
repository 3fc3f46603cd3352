"""API keys: made by the service, shown once, known by their prefix afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from files_app.admin import key_rotation
from files_app.admin.base import GatewayAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.fields import RATE_HELP, ModelForm, SizeField, show_default_rates
from files_app.admin.filters import ChoiceFilter, OrganizationFilter
from files_app.admin.formatting import NOTHING, badge, shown_age, two_lines
from files_app.admin.key_use import use_of
from files_app.admin.pages import page
from files_app.admin.requests import caller_of, reach_for
from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey
from files_app.models.organizations import RATE_LIMITS, Scope, all_scopes
from files_app.services.index.limits import default_key_rates
from files_app.services.tenants import keys
from files_app.services.tenants.key_rotation import end_overlap, keys_starting, rotate_key, working_secret
from files_app.services.tenants.rates import set_rates


class KeyStatusFilter(ChoiceFilter):
    """By whether a key works."""

    title = "state"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "live"), ("expired", "expired"), ("revoked", "revoked"), ("unused", "never used")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        match self.value():
            case "live":
                return queryset.filter(revoked_at=None).exclude(expires_at__lte=now)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=now)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case "unused":
                return queryset.filter(revoked_at=None, last_used_at=None)
        return queryset


class KeyForm(ModelForm):
    """What a new key is asked for."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=all_scopes,
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What requests with this key may do.",
    )
    lifetime = forms.ChoiceField(
        label="Expires",
        choices=[("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")],
        required=False,
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="An expired key is refused; rotate it before that.",
    )

    class Meta:
        model = ApiKey
        fields = ["organization", "name", "scopes", *RATE_LIMITS]
        help_texts = {
            "name": "Says who uses it, such as nightly-batches. Letters, digits, dots, hyphens.",
            **dict.fromkeys(RATE_LIMITS, RATE_HELP),
        }

    bytes_per_minute = SizeField(required=False, help_text=f"Such as 10 GiB. {RATE_HELP}")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_default_rates(self, default_key_rates())

    def clean(self) -> dict[str, Any]:
        """Refuse the name of a key that still works."""
        cleaned: dict[str, Any] = super().clean() or {}
        live = ApiKey.objects.filter(
            organization=cleaned.get("organization"), name=cleaned.get("name", ""), revoked_at=None
        )
        if live.exists():
            self.add_error(
                "name", "A key of this name exists already: rotate or revoke it, or choose another."
            )
        return cleaned


class RatesForm(ModelForm):
    """The rates of a key that is there."""

    class Meta:
        model = ApiKey
        fields = RATE_LIMITS
        widgets = dict.fromkeys(RATE_LIMITS, widgets.UnfoldAdminIntegerFieldWidget)

    bytes_per_minute = SizeField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_default_rates(self, default_key_rates())


def _revoke(request: HttpRequest, row: ApiKey, answers: dict[str, Any]) -> str:
    if row.revoked_at is not None:
        raise InvalidRequestError("It was revoked before.")
    keys.revoke_key(row, caller=caller_of(request, row.organization_id))
    return "revoked: requests with it are refused within five seconds"


REVOKE = BulkAction(
    name="revoke_keys",
    title="Revoke keys",
    verb="Revoke",
    run=_revoke,
    warning="Programs that use these keys stop working within five seconds. This cannot be undone.",
    is_dangerous=True,
    command="keys revoke",
)


@admin.register(ApiKey)
class ApiKeyAdmin(GatewayAdmin):
    """Credentials of clients."""

    object_type = "api_key"
    commands: ClassVar = {
        "view": "keys list",
        "add": "keys create",
        "change": "keys limit, keys rotate, keys end-overlap",
        "delete": "keys revoke",
    }
    empty_title = "No API key yet"
    empty_text = "Clients send a key with OpenAI's SDK: only base URL and key change. Create one and copy it."
    form = KeyForm
    list_display = ["shown_name", "organization", "status", "shown_scopes", "last_used", "expires", "created"]
    list_display_links = ["shown_name"]
    list_select_related = ["organization"]
    list_filter = [KeyStatusFilter, OrganizationFilter]
    search_fields = ["name"]
    search_help_text = "Name, or the key's first characters"
    sortable_by = ["shown_name", "last_used", "expires", "created"]
    actions = [as_admin_action(REVOKE, "delete")]

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Leave out the rates for staff of one organization: they are the platform's to give."""
        fieldsets = [(None, {"fields": ["organization", "name", "scopes", "lifetime"]})]
        rates = ("Rates of this key alone", {"fields": list(RATE_LIMITS)})
        return [*fieldsets, rates] if reach_for(request).sees_all else fieldsets

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("retired_secrets")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by name, or by the start of a secret, of now or before a rotation: it may have leaked."""
        term = search_term.strip()
        if term.startswith(keys.KEY_PREFIX):
            return queryset.filter(pk__in=keys_starting(term)), False
        return (queryset.filter(name__icontains=term) if term else queryset), False

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse: keys are revoked, rows stay."""
        reason = "The row stays for the audit trail. Revoke the key: requests with it are refused at once."
        context = {"reason": reason, "opts": self.opts}
        return page(request, "not_possible.html", "Keys are revoked, not deleted", context, status=405)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a key; on POST set its rates, rotate it, or end the overlap of a rotation."""
        row = self.row_in_sight(request, object_id)
        if row is None:
            return self.not_in_sight(request, object_id)
        can_rotate = self.has_change_permission(request, row) and row.is_usable
        can_limit = self.has_change_permission(request, row) and reach_for(request).sees_all
        form = RatesForm(request.POST if "rates" in request.POST else None, instance=row)
        if request.method == "POST" and not form.is_bound and can_rotate:
            return self._rotated(request, row)
        if form.is_bound and can_limit and row.revoked_at is None and form.is_valid():
            set_rates(
                ApiKey.objects.get(pk=row.pk),
                form.cleaned_data,
                caller=caller_of(request, row.organization_id),
            )
            return redirect(request.path)
        context = {
            "opts": self.opts,
            "key": row,
            "use": use_of(request, row),
            "status": key_status(row),
            "scopes": [Scope(scope).label for scope in row.scopes if scope in Scope.values],
            "can_rotate": can_rotate,
            "rates": form,
            "can_limit": can_limit and row.revoked_at is None,
            "can_revoke": self.has_delete_permission(request, row) and row.revoked_at is None,
            **key_rotation.facts_of(row),
        }
        return page(request, "key.html", row.name, context)

    def _rotated(self, request: HttpRequest, row: ApiKey) -> HttpResponse:
        caller = caller_of(request, row.organization_id)
        form = key_rotation.RotationForm(request.POST)
        if "end_overlap" in request.POST:
            end_overlap(row, caller=caller)
        elif form.is_valid():
            fresh, plain = rotate_key(row, caller=caller, overlap=form.cleaned_data["overlap"])
            return self._shown_once(request, fresh, plain, is_rotation=True)
        return redirect(request.path)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Create the key through the service; its plaintext is kept for this one answer."""
        days = form.cleaned_data["lifetime"]
        sees_all = reach_for(request).sees_all
        rates = {name: form.cleaned_data[name] for name in RATE_LIMITS} if sees_all else {}
        with transaction.atomic():
            row, plain = keys.create_key(
                organization=obj.organization,
                name=obj.name,
                caller=caller_of(request, obj.organization_id),
                scopes=form.cleaned_data["scopes"],
                expires_at=timezone.now() + timedelta(days=int(days)) if days else None,
                rates=rates,
            )
        obj.pk = row.pk
        obj.refresh_from_db()
        request._files_app_new_key = plain  # type: ignore[attr-defined]  # never into session or messages

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key, this once."""
        return self._shown_once(request, obj, request._files_app_new_key)  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Leave it to the service, which has written it."""

    def _shown_once(
        self, request: HttpRequest, row: ApiKey, plain: str, *, is_rotation: bool = False
    ) -> HttpResponse:
        base_url = request.build_absolute_uri("/v1")
        context = {
            "opts": self.opts,
            "key": row,
            "plain": plain,
            "base_url": base_url,
            "is_rotation": is_rotation,
            "old_secret": working_secret(row),
        }
        response = page(request, "key_once.html", "Copy the key now", context)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    @admin.display(description="Key", ordering="name")
    def shown_name(self, row: ApiKey) -> SafeString:
        """Show the name and the part of the key that may be shown."""
        return two_lines(row.name, format_html("<code>{}…{}</code>", row.prefix, row.last_four))

    @admin.display(description="State")
    def status(self, row: ApiKey) -> SafeString:
        """Show whether it works."""
        if working_secret(row) is None:
            return key_status(row)
        old = badge("old secret works", "info", "A rotation left the secret before it working for some time.")
        return format_html("{} {}", key_status(row), old)

    @admin.display(description="Scopes")
    def shown_scopes(self, row: ApiKey) -> str:
        """Show what it may do."""
        return "all" if set(row.scopes) == set(all_scopes()) else ", ".join(scope[6:] for scope in row.scopes)

    @admin.display(description="Last used", ordering="last_used_at")
    def last_used(self, row: ApiKey) -> SafeString:
        """Show when it was last used, and from where."""
        if row.last_used_at is None:
            return format_html("{}", "never")
        used = shown_age(row.last_used_at)
        return two_lines(used, row.last_used_ip) if row.last_used_ip else used

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, row: ApiKey) -> SafeString:
        """Show when it ends."""
        return shown_age(row.expires_at) if row.expires_at else NOTHING

    @admin.display(description="Created", ordering="created_at")
    def created(self, row: ApiKey) -> SafeString:
        """Show when, and by whom."""
        return shown_age(row.created_at)


def key_status(row: ApiKey) -> SafeString:
    """Return the badge of a key."""
    if row.revoked_at is not None:
        return badge("revoked", "neutral", "Requests with it are refused.")
    if not row.is_usable:
        return badge("expired", "warning", "Its time is over: requests with it are refused.")
    soon = row.expires_at is not None and row.expires_at - timezone.now() < timedelta(days=7)
    return badge("expires soon", "warning") if soon else badge("live", "ok")
