"""What every page of the admin has in common: who sees which rows, audit, pages, filters."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import ShowFacets
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst

from files_app.admin.exports import EXPORT_FORMAT
from files_app.admin.filters import SINCE, UNTIL, date_range_filter
from files_app.admin.paginator import CappedPaginator
from files_app.admin.requests import caller_of, reach_for
from files_app.models import AuditAction, Organization, ProviderAccount
from files_app.services.index import audit

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    class UnfoldAdmin(ModelAdmin[Any]):
        """unfold ships no types; its ModelAdmin is Django's with more attributes."""

else:
    from unfold.admin import ModelAdmin as UnfoldAdmin


class GatewayAdmin(UnfoldAdmin):
    """Shows the rows of organizations in sight, and writes every change into the audit trail.

    organization_path: where a row's organization is. object_type: what the audit trail calls a row.
    list_title, row_name: what people call all rows and one, where that is not the model's name.
    commands: what does in a shell what the pages do, one or more with a comma between, by the last part of
    the page's name; the list itself is `view`, its forms `add`, `change` and `delete`.
    """

    organization_path: ClassVar[str] = "organization"
    object_type: ClassVar[str] = ""
    commands: ClassVar[Mapping[str, str]] = {}
    list_title: ClassVar[str] = ""
    row_name: ClassVar[str] = ""
    empty_title: ClassVar[str] = ""
    empty_text: ClassVar[str] = ""
    empty_link: ClassVar[str] = ""
    empty_link_text: ClassVar[str] = ""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    list_filter_sheet = False
    list_fullwidth = True
    list_disable_select_all = True
    actions_selection_counter = True
    show_facets = ShowFacets.NEVER  # facet_counts counts them, after the page has come
    compressed_fields = True
    warn_unsaved_form = True
    show_add_link = False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Call the list by its name, not `Select ... to change`."""
        return super().changelist_view(request, {"title": self.all_of_them, **(extra_context or {})})

    @property
    def all_of_them(self) -> str:
        """What the list is called."""
        return self.list_title or capfirst(str(self.opts.verbose_name_plural))

    @property
    def one_of_them(self) -> str:
        """What a row is called."""
        return self.row_name or str(self.opts.verbose_name)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Call the form as the button does that leads to it."""
        title = f"New {self.one_of_them}"
        return super().add_view(request, form_url, {"title": title, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return reach_for(request).limit(super().get_queryset(request), self.organization_path)

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Add the range of days wherever there are dates."""
        own = super().get_list_filter(request)
        return [*own, date_range_filter(self.date_hierarchy)] if self.date_hierarchy else own

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only what is in sight."""
        related = db_field.remote_field.model
        if related is Organization:
            kwargs.setdefault("queryset", reach_for(request).organizations())
        elif related is ProviderAccount:
            kwargs.setdefault("queryset", reach_for(request).usable_accounts())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the shortcuts that add and change related rows in pop-up windows."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Offer one way to save."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse every lookup but the page's own filters: no column is reachable by its name."""
        allowed = {getattr(spec, "parameter_name", None) for spec in self.list_filter or ()}
        if self.date_hierarchy:
            allowed |= {f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day")}
            allowed |= {SINCE, UNTIL}
        return lookup in allowed

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the audit trail of the object: there is one history, not two."""
        row = self.row_in_sight(request, object_id)
        if row is None:
            return self.not_in_sight(request, object_id)
        return redirect(f"{reverse('admin:files_app_auditevent_changelist')}?q={self.audit_id(row)}")

    def row_in_sight(self, request: HttpRequest, object_id: str) -> Any | None:
        """Return the row that an address names; None when the user may not see it, or there is none."""
        row = self.get_object(request, object_id)
        return row if row is not None and self.has_view_permission(request, row) else None

    def not_in_sight(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer for a row that is not there, or not for this user: nobody learns which."""
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Let the days and months of filters be UTC's, as those of the charts that lead here are."""
        with timezone.override(UTC):
            return super().get_changelist_instance(request)

    def matching(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows that match the filters and the search of the list's address."""
        changelist = self.get_changelist_instance(without(request, EXPORT_FORMAT))
        rows: QuerySet[Any] = changelist.get_queryset(request)
        return rows

    def audit_id(self, row: Any) -> str:
        """Return what the audit trail calls the row."""
        return str(row)

    def organization_id_of(self, row: Any) -> int | None:
        """Return whose the row is; None for what belongs to nobody alone."""
        return getattr(row, "organization_id", None)

    def record(self, request: HttpRequest, verb: str, row: Any, **details: Any) -> None:
        """Write a change into the audit trail, in the transaction of the change."""
        kind = self.object_type or self.opts.model_name or ""
        caller = caller_of(request, self.organization_id_of(row))
        audit.record(
            caller, AuditAction(f"{kind}.{verb}"), object_type=kind, object_id=self.audit_id(row), **details
        )

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Write the audit trail instead of Django's log."""
        self.record(request, "create", obj)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Write the audit trail instead of Django's log: the names of what changed, never values."""
        if changed := changed_fields(message):
            self.record(request, "update", obj, changed=changed)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Write the audit trail instead of Django's log."""
        for row in queryset:
            self.record(request, "delete", row)

    def get_actions(self, request: HttpRequest) -> Any:
        """Leave out Django's bulk delete, which goes past the services."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


class ReadOnlyAdmin(GatewayAdmin):
    """Rows that services write: they are shown here, and changed by actions alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come by what happens."""
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a row instead of a form."""
        row = self.row_in_sight(request, object_id)
        return self.not_in_sight(request, object_id) if row is None else self.show(request, row)

    def show(self, request: HttpRequest, row: Any) -> HttpResponse:
        """Return the page of a row."""
        raise NotImplementedError


def without(request: HttpRequest, *names: str, **instead: str) -> HttpRequest:
    """Return the request without some parameters of its address, of which a list knows only its own.

    instead: parameters that it gets, whatever they were.
    """
    parameters = request.GET.copy()
    for name in names:
        parameters.pop(name, None)
    for name, value in instead.items():
        parameters[name] = value
    reduced = copy(request)
    reduced.GET = parameters  # type: ignore[assignment]  # immutable is what requests are by default
    return reduced


def changed_fields(message: Any) -> list[str]:
    """Return the names of the form's fields that changed, from what Django would write into its log."""
    if not isinstance(message, list):
        return []
    changed = [str(name) for entry in message for name in entry.get("changed", {}).get("fields", [])]
    rows = [entry.get("added") or entry.get("deleted") or {} for entry in message]
    return changed + [str(row["name"]) for row in rows if "name" in row]
