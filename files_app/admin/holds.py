"""Legal holds: the list, one hold's page, the form that places one, and the button that lifts it."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from files_app.admin.base import GatewayAdmin
from files_app.admin.bulk import BulkAction
from files_app.admin.fields import MappingField, ModelForm
from files_app.admin.filters import ChoiceFilter, OrganizationFilter
from files_app.admin.formatting import NOTHING, badge, shown_age, two_lines
from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of
from files_app.exceptions import GatewayError, InvalidRequestError
from files_app.models import File, LegalHold
from files_app.services.reading.listing import FileFilters
from files_app.services.retention import holds

_SHOWN_FILES = 50
REASON_HELP = "Kept with the hold and in the audit trail, such as: case 2026-17, requested by legal."


class ReasonForm(forms.Form):
    """Why files are held."""

    reason = forms.CharField(max_length=500, widget=widgets.UnfoldAdminTextInputWidget, help_text=REASON_HELP)


def _hold(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    """Put the file on the hold of this request, of which each organization has one."""
    placed: dict[int, LegalHold] = request.__dict__.setdefault("_files_app_holds", {})
    caller = caller_of(request, file.organization_id)
    if file.organization_id in placed:
        holds.add_file(placed[file.organization_id], file, caller=caller)
    else:
        placed[file.organization_id] = holds.hold_files([file], reason=answers["reason"], caller=caller)
    return f"on hold {placed[file.organization_id].pk}"


HOLD = BulkAction(
    name="hold_files",
    title="Place a legal hold",
    verb="Hold",
    run=_hold,
    warning="Nothing deletes these files until an owner lifts the hold: not clients, not staff, not expiry.",
    form=ReasonForm,
    command="files hold",
)


class MayHold:
    """Says who may put files on hold: whoever may place holds at all."""

    def has_hold_permission(self, request: HttpRequest) -> bool:
        """Whether the user may place a hold."""
        return request.user.has_perm("files_app.add_legalhold")


class HeldFilter(ChoiceFilter):
    """By whether a legal hold keeps a file."""

    title = "legal hold"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "on hold")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(is_held=True) if self.value() == "1" else queryset


class OpenFilter(ChoiceFilter):
    """By whether a hold is in force."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "in force"), ("lifted", "lifted")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.filter(lifted_at=None)
            case "lifted":
                return queryset.filter(lifted_at__isnull=False)
        return queryset


class HoldForm(ModelForm):
    """Which files a new hold is for, and why. Single files are held from their own page or the list."""

    provider = forms.CharField(
        label="Provider account", max_length=64, required=False, widget=widgets.UnfoldAdminTextInputWidget
    )
    purpose = forms.CharField(max_length=64, required=False, widget=widgets.UnfoldAdminTextInputWidget)
    filename = forms.CharField(
        label="Name",
        max_length=255,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="The whole name.",
    )
    metadata = MappingField(required=False, help_text="One 'key: value' on each line; all of them are there.")
    created_after = forms.SplitDateTimeField(
        label="Created after (UTC)", required=False, widget=widgets.UnfoldAdminSplitDateTimeWidget
    )
    created_before = forms.SplitDateTimeField(
        label="Created before (UTC)", required=False, widget=widgets.UnfoldAdminSplitDateTimeWidget
    )

    class Meta:
        model = LegalHold
        fields = ["organization", "reason"]
        help_texts = {"reason": REASON_HELP}

    def filters(self) -> FileFilters:
        """Return the conditions."""
        given = self.cleaned_data
        return FileFilters(
            purpose=given["purpose"] or None,
            provider=given["provider"] or None,
            filename=given["filename"] or None,
            created_after=given["created_after"],
            created_before=given["created_before"],
            metadata=given["metadata"],
        )

    def clean(self) -> dict[str, Any]:
        """Ask for a condition, and for an account that there is."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            holds.check_filters(cleaned["organization"], self.filters())
        except InvalidRequestError as exc:
            self.add_error("provider" if exc.param == "provider" else None, exc.message)
        return cleaned


@admin.register(LegalHold)
class LegalHoldAdmin(GatewayAdmin):
    """What may not be deleted, why, and who said so."""

    object_type = "hold"
    commands: ClassVar = {"view": "files holds", "add": "files hold"}
    list_title = "Legal holds"
    empty_title = "No legal hold"
    empty_text = (
        "A hold keeps files from every delete until an owner lifts it. Place one here for all files that "
        "match, or select single files in the list of files."
    )
    form = HoldForm
    list_display = ["shown_reason", "organization", "shown_for", "status", "placed"]
    list_display_links = ["shown_reason"]
    list_select_related = ["organization"]
    list_filter = [OpenFilter, OrganizationFilter]
    search_fields = ["reason"]
    search_help_text = "Reason"
    sortable_by = ["placed"]
    ordering = ["-placed_at", "-id"]
    fieldsets = [
        (None, {"fields": ["organization", "reason"]}),
        (
            "Files that match all of this, now and later",
            {"fields": ["purpose", "provider", "filename", "metadata", "created_after", "created_before"]},
        ),
    ]

    def has_change_permission(self, request: HttpRequest, obj: LegalHold | None = None) -> bool:
        """A hold is lifted, never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LegalHold | None = None) -> bool:
        """Lifted holds stay as a record."""
        return False

    def can_lift(self, request: HttpRequest) -> bool:
        """Whether the user may lift holds: owners alone."""
        return request.user.has_perm("files_app.lift_legalhold")

    def save_model(self, request: HttpRequest, obj: LegalHold, form: Any, change: bool) -> None:
        """Place the hold through the service."""
        hold = holds.hold_matching(
            obj.organization,
            form.filters(),
            reason=obj.reason,
            caller=caller_of(request, obj.organization_id),
        )
        obj.pk = hold.pk

    def response_add(
        self, request: HttpRequest, obj: LegalHold, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show what it keeps."""
        return redirect(reverse("admin:files_app_legalhold_change", args=[obj.pk]))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Leave it to the service, which has written it."""

    def audit_id(self, row: Any) -> str:
        """Return the hold's number."""
        return str(row.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a hold; lift it on POST."""
        row = self.row_in_sight(request, object_id)
        if row is None:
            return self.not_in_sight(request, object_id)
        if request.method == "POST":
            return self._lift(request, row)
        files = holds.held_files(row)
        context = {
            "opts": self.opts,
            "hold": row,
            "described": holds.described(row),
            "files": files.select_related("account").newest_first()[:_SHOWN_FILES],
            "number": files.count(),
            "not_possible": holds.unholdable(row).count() if row.is_open else 0,
            "can_lift": row.is_open and self.can_lift(request),
        }
        return page(request, "hold.html", f"Hold {row.pk}", context)

    def _lift(self, request: HttpRequest, row: LegalHold) -> HttpResponse:
        if not self.can_lift(request):
            raise PermissionDenied
        try:
            holds.lift(row, caller=caller_of(request, row.organization_id))
        except GatewayError as exc:
            return not_possible(request, "The hold cannot be lifted", exc, self.opts)
        return redirect(request.path)

    @admin.display(description="Reason")
    def shown_reason(self, row: LegalHold) -> SafeString:
        """Show why, and the hold's number."""
        return two_lines(row.reason, format_html("hold {}", row.pk))

    @admin.display(description="For")
    def shown_for(self, row: LegalHold) -> SafeString:
        """Show which files it is for."""
        text = holds.described(row)
        return format_html('<span class="fg-clip" title="{}">{}</span>', text, text)

    @admin.display(description="Status")
    def status(self, row: LegalHold) -> SafeString:
        """Show whether it is in force."""
        return hold_badge(row)

    @admin.display(description="Placed", ordering="placed_at")
    def placed(self, row: LegalHold) -> SafeString:
        """Show when, and by whom."""
        return two_lines(shown_age(row.placed_at), row.placed_by or NOTHING)


def hold_badge(row: LegalHold) -> SafeString:
    """Return the badge of a hold."""
    if row.is_open:
        return badge("in force", "warning", "Nothing deletes its files.")
    return badge("lifted", "neutral", "It keeps nothing any more.")
