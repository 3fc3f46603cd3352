"""Organizations: limits, usage and its history, recount."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import F, FloatField
from django.db.models.functions import Cast, NullIf
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from files_app.admin.base import GatewayAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.charts import usage_chart
from files_app.admin.fields import RATE_HELP, ModelForm, SizeField, show_default_rates
from files_app.admin.filters import ChoiceFilter
from files_app.admin.formatting import badge, shown_age
from files_app.admin.meters import meter
from files_app.admin.requests import caller_of, reach_for
from files_app.admin.retention import OrganizationRules, ShowsRetention
from files_app.models import Organization
from files_app.models.organizations import (
    MAX_TRASH_DAYS,
    RATE_LIMITS,
    default_max_file_bytes,
    default_quota_bytes,
)
from files_app.services.index import usage
from files_app.services.index.limits import default_rates
from files_app.services.index.metering import report
from files_app.services.operations import overview
from files_app.services.operations.overview import CRITICAL_PERCENT, WARNING_PERCENT
from files_app.words import exact_bytes, short_bytes

TRASH = ["trash_days", "trash_is_free"]
_TAKEN = (
    Cast(F("used_bytes") + F("reserved_bytes"), FloatField())
    * 100
    / NullIf(Cast("quota_bytes", FloatField()), 0.0)
)


class ActiveFilter(ChoiceFilter):
    """By whether keys of the organization are accepted."""

    title = "state"
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "active"), ("0", "inactive")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(is_active=value == "1") if value else queryset


class FullnessFilter(ChoiceFilter):
    """By how much of the quota is taken."""

    title = "fullness"
    parameter_name = "full"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (str(CRITICAL_PERCENT), f"{CRITICAL_PERCENT} % and more"),
            (str(WARNING_PERCENT), "80 % and more"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value not in {str(CRITICAL_PERCENT), str(WARNING_PERCENT)}:
            return queryset
        return queryset.alias(taken=_TAKEN).filter(taken__gte=float(value))


class DaysField(forms.IntegerField):
    """A number of days; nothing is none."""

    def to_python(self, value: Any) -> int:
        """Return the number."""
        return super().to_python(value) or 0


class OrganizationForm(ModelForm):
    """The limits as people write them."""

    class Meta:
        model = Organization
        fields = ["name", "is_active", "quota_bytes", "max_file_bytes", "max_files", *TRASH, *RATE_LIMITS]
        labels = {
            "is_active": "Active",
            "max_files": "Number of files",
            "trash_is_free": "The trash does not count",
        }
        help_texts = {
            "trash_is_free": "What waits there leaves the quota; restored, it has to fit in again.",
            "max_files": "How many files it may have. 0: as many as fit into the quota.",
            **dict.fromkeys(RATE_LIMITS, RATE_HELP),
        }

    quota_bytes = SizeField(
        label="Quota",
        help_text="What all files together may hold, such as 100 GiB.",
        initial=default_quota_bytes,
    )
    max_file_bytes = SizeField(
        label="Largest file",
        help_text="Such as 512 MiB. A provider may allow less.",
        initial=default_max_file_bytes,
    )
    trash_days = DaysField(
        label="Days in the trash",
        required=False,
        min_value=0,
        max_value=MAX_TRASH_DAYS,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="How long staff may restore what was deleted. 0 or empty: deleted files go at once.",
    )
    bytes_per_minute = SizeField(required=False, help_text=f"Such as 10 GiB. {RATE_HELP}")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_default_rates(self, default_rates())


def _over(row: Organization, changed: Collection[str]) -> Iterator[str]:
    """Yield which limits that were changed are below what is used already."""
    if "quota_bytes" in changed and row.used_bytes > row.quota_bytes:
        used, quota = short_bytes(row.used_bytes), exact_bytes(row.quota_bytes)
        yield f"{row.name} uses {used}, which is more than its quota of {quota} now"
    if "max_files" in changed and 0 < row.max_files < row.file_count:
        yield f"{row.name} has {row.file_count:,} files, which is more than the {row.max_files:,} of now"


def _recount(request: HttpRequest, row: Organization, answers: dict[str, Any]) -> str:
    drift = usage.recount(row, caller=caller_of(request, row.pk))
    if drift.is_clean:
        return f"{short_bytes(row.used_bytes)} in {row.file_count:,} files: the counters were right"
    changes = [
        f"{name.replace('_', ' ')} {drift.counted[name]:,} → {actual:,}"
        for name, actual in drift.actual.items()
        if drift.counted[name] != actual
    ]
    return "mended: " + ", ".join(changes)


RECOUNT = BulkAction(
    name="recount",
    title="Recount usage",
    verb="Recount",
    run=_recount,
    warning="Counts the rows of every file and corrects the counters where they have drifted.",
    command="orgs recount",
)


@admin.register(Organization)
class OrganizationAdmin(ShowsRetention, GatewayAdmin):
    """Tenants."""

    organization_path = "pk"
    object_type = "organization"
    commands: ClassVar = {
        "view": "orgs list, orgs usage",
        "add": "apply",
        "change": "apply, orgs limit",
        "retention": "retention preview",
    }
    empty_title = "No organization yet"
    empty_text = "An organization owns API keys, files and a quota. Create the first one."
    form = OrganizationForm
    list_display = ["shown_name", "usage", "used", "quota", "files", "created"]
    list_display_links = ["shown_name"]
    list_filter = [FullnessFilter, ActiveFilter]
    search_fields = ["name"]
    search_help_text = "Name"
    sortable_by = ["shown_name", "usage", "used", "quota", "files"]
    fieldsets = [
        (None, {"fields": ["name", "is_active"]}),
        ("Limits", {"fields": ["quota_bytes", "max_file_bytes", "max_files"]}),
        ("Trash", {"fields": [*TRASH]}),
        ("Rates, of all keys together", {"fields": list(RATE_LIMITS)}),
    ]
    actions = [as_admin_action(RECOUNT, "change")]
    change_form_before_template = "files_app/admin/organization_usage.html"
    change_form_after_template = "files_app/admin/retention_button.html"
    rules_inline = OrganizationRules

    def get_urls(self) -> list[URLPattern]:
        """Add what retention rules would remove."""
        return [*self.retention_urls(), *super().get_urls()]

    def get_inlines(self, request: HttpRequest, obj: Organization | None) -> Any:
        """Ask for rules once the organization exists."""
        return [] if obj is None else [self.rules_inline]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return (queryset.filter(name__icontains=search_term) if search_term else queryset), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only staff that sees everything makes tenants."""
        return reach_for(request).sees_all and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        """Limits are the platform's to give: staff that is bound to organizations reads them."""
        return reach_for(request).sees_all and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        """An organization is switched off; its files would stay behind at their providers."""
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show usage and its history above the form."""
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            history = overview.usage_history(row)
            context = {"usage": overview.usage_of(row), "chart": usage_chart(history), "subtitle": None}
            month = report.within(report.month_of(report.today())).filter(organization=row)
            context["month"] = report.total(month)
            extra_context = {**context, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        """Save, and say so where the limits are below what is used already."""
        super().save_model(request, obj, form, change)
        for problem in _over(obj, form.changed_data):
            messages.warning(request, f"{problem}. Nothing is deleted; uploads are refused until it is less.")

    def organization_id_of(self, row: Any) -> int | None:
        """Return the organization itself."""
        return int(row.pk)

    @admin.display(description="Organization", ordering="name")
    def shown_name(self, row: Organization) -> SafeString:
        """Show the name, and that it is switched off."""
        if row.is_active:
            return format_html("<strong>{}</strong>", row.name)
        return format_html("<strong>{}</strong> {}", row.name, badge("inactive", "neutral"))

    @admin.display(description="Usage", ordering=_TAKEN)
    def usage(self, row: Organization) -> SafeString:
        """Show how full it is."""
        return meter(overview.usage_of(row).percent)

    @admin.display(description="Used", ordering="used_bytes")
    def used(self, row: Organization) -> str:
        """Show what is used."""
        return short_bytes(row.used_bytes)

    @admin.display(description="Quota", ordering="quota_bytes")
    def quota(self, row: Organization) -> str:
        """Show what may be used."""
        return short_bytes(row.quota_bytes)

    @admin.display(description="Files", ordering="file_count")
    def files(self, row: Organization) -> str:
        """Show how many files count."""
        return f"{row.file_count:,}"

    @admin.display(description="Created", ordering="created_at")
    def created(self, row: Organization) -> SafeString:
        """Show the age."""
        return shown_age(row.created_at)
