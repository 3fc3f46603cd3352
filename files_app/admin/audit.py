"""The audit trail: read only, to filter, search and export."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from files_app.admin.base import ReadOnlyAdmin
from files_app.admin.exports import AUDIT, EXPORT_FORMAT, Row, export
from files_app.admin.fields import shown_json
from files_app.admin.filters import ChoiceFilter, OrganizationFilter
from files_app.admin.formatting import NOTHING, badge, identifier, shown_age, two_lines
from files_app.admin.pages import page
from files_app.models import AuditAction, AuditEvent, File
from files_app.services.tenants.key_rotation import audit_names


class ActionFilter(ChoiceFilter):
    """By what was done."""

    title = "action"
    parameter_name = "action"
    column = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the known actions, and any other that is asked for."""
        asked = request.GET.get(self.parameter_name)
        extra = [asked] if asked and asked not in AuditAction else []
        return [(action, action) for action in (*AuditAction.values, *extra)]


class ActorFilter(ChoiceFilter):
    """By what kind of actor did it."""

    title = "actor"
    parameter_name = "actor_type"
    column = "actor_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in AuditEvent.Actor.choices]


class ResultFilter(ChoiceFilter):
    """By whether it worked."""

    title = "result"
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ok", "ok"), ("failed", "not ok")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "ok":
                return queryset.filter(result="ok")
            case "failed":
                return queryset.exclude(result="ok")
        return queryset


def as_row(event: AuditEvent) -> Row:
    """Return an event for an export."""
    return {
        "time": event.created_at.isoformat(),
        "organization": event.organization_id,
        "actor_type": event.actor_type,
        "actor": event.actor,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "provider": event.account_name,
        "result": event.result,
        "ip": event.ip,
        "request_id": event.request_id,
        "details": event.details,
    }


@admin.register(AuditEvent)
class AuditAdmin(ReadOnlyAdmin):
    """Who did what to which object, with which result."""

    commands: ClassVar = {"view": "audit list", "export": "audit list"}
    list_title = "Audit trail"
    empty_title = "Nothing has happened yet"
    empty_text = "Uploads, downloads, deletes and changes by staff are recorded here, and cannot be changed."
    list_display = [
        "when",
        "shown_action",
        "object",
        "shown_actor",
        "organization_name",
        "shown_result",
        "origin",
    ]
    list_display_links = ["when"]
    list_filter = [ActionFilter, ActorFilter, ResultFilter, OrganizationFilter]
    search_fields = ["object_id"]
    search_help_text = "Object, actor, request id or address"
    sortable_by = ["when"]
    ordering = ["-created_at", "-id"]
    date_hierarchy = "created_at"
    list_select_related = ["organization"]

    def get_urls(self) -> list[URLPattern]:
        export_view = self.admin_site.admin_view(require_safe(self.export_matching))
        return [path("export/", export_view, name="files_app_auditevent_export"), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Search by what an event names, exactly."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("req_"):
            return queryset.filter(request_id=term), False
        named = Q(object_id__in=[term, *audit_names(term)]) | Q(actor=term)
        if _is_address(term):
            named |= Q(ip=term)
        return queryset.filter(named), False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Nobody changes what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Retention alone removes events."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        context = {"export_url": reverse("admin:files_app_auditevent_export")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def export_matching(self, request: HttpRequest) -> StreamingHttpResponse:
        """Answer with all events that match the list's filters."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kind = request.GET.get(EXPORT_FORMAT, "")
        return export(request, self.matching(request), as_row, of=AUDIT, kind=kind)

    def show(self, request: HttpRequest, row: AuditEvent) -> HttpResponse:
        """Show one event."""
        file = None
        if row.object_type == "file":
            file = File.objects.filter(organization=row.organization_id, file_id=row.object_id).first()
        details = shown_json(row.details) if row.details else ""
        context = {"opts": self.opts, "event": row, "file": file, "details": details}
        return page(request, "event.html", row.action, context)

    @admin.display(description="When", ordering="created_at")
    def when(self, row: AuditEvent) -> SafeString:
        """Show the time."""
        return two_lines(f"{row.created_at:%Y-%m-%d %H:%M:%S}", shown_age(row.created_at))

    @admin.display(description="Action")
    def shown_action(self, row: AuditEvent) -> SafeString:
        """Show what was done."""
        return format_html("<strong>{}</strong>", row.action)

    @admin.display(description="Object")
    def object(self, row: AuditEvent) -> SafeString:
        """Show to what, and where."""
        return two_lines(identifier(row.object_id), row.account_name or row.object_type)

    @admin.display(description="Actor")
    def shown_actor(self, row: AuditEvent) -> SafeString:
        """Show by whom."""
        return two_lines(row.actor or NOTHING, row.get_actor_type_display())

    @admin.display(description="Organization")
    def organization_name(self, row: AuditEvent) -> SafeString | str:
        """Show whose; an organization may be gone."""
        if row.organization_id is None:
            return NOTHING
        return row.organization.name if row.organization else f"#{row.organization_id}"

    @admin.display(description="Result")
    def shown_result(self, row: AuditEvent) -> SafeString:
        """Show how it went, and what came of it."""
        shown = badge(row.result, "ok" if row.result == "ok" else "critical")
        words = summary(row.details)
        if not words:
            return shown
        return two_lines(shown, format_html('<span class="fg-clip" title="{}">{}</span>', words, words))

    @admin.display(description="From")
    def origin(self, row: AuditEvent) -> SafeString | str:
        """Show from where."""
        return row.ip or NOTHING


def summary(details: dict[str, Any]) -> str:
    """Return an event's details in one line: `seen 12, lost 0`; its page has all of them."""
    return ", ".join(filter(None, (_said(name, value) for name, value in details.items())))[:200]


def _said(name: str, value: Any) -> str:
    words = name.removeprefix("is_").replace("_", " ")
    match value:
        case True:
            return words
        case False:
            return f"not {words}" if name.startswith("is_") else ""
        case dict():
            return f"{words} ({summary(value)})"
        case list():
            return f"{words} {' and '.join(map(str, value))}"
        case _:
            return f"{words} {value}"


def _is_address(text: str) -> bool:
    return all(c in "0123456789abcdefABCDEF.:" for c in text) and ("." in text or ":" in text)
