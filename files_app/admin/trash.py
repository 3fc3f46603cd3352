"""The trash: what was deleted and can be brought back, by whom it was deleted, and when it goes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.admin import filters
from files_app.admin.base import ReadOnlyAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.formatting import badge, identifier, shown_age, shown_size, two_lines
from files_app.admin.requests import caller_of, reach_for
from files_app.admin.search import search_files, search_help
from files_app.models import File, FileState, TrashedFile
from files_app.services.deletes import purging, trash


def _restore(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    trash.restore(file, caller=caller_of(request, file.organization_id))
    return "restored: clients have it again"


def _purge(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    purging.purge(file, caller=caller_of(request, file.organization_id))
    return "deleted for good; its provider follows"


RESTORE = BulkAction(
    name="restore_files",
    title="Restore",
    verb="Restore",
    run=_restore,
    warning="Clients have these files again, under the ids that they had.",
    command="files restore",
)
PURGE = BulkAction(
    name="purge_files",
    title="Delete for good",
    verb="Delete",
    run=_purge,
    warning="Their providers delete these files. This cannot be undone.",
    is_dangerous=True,
    command="files purge",
)


@admin.register(TrashedFile)
class TrashAdmin(ReadOnlyAdmin):
    """What is in the trash."""

    object_type = "file"
    commands: ClassVar = {"view": "files list", "delete": "files purge"}
    list_title = "Trash"
    empty_title = "The trash is empty"
    empty_text = (
        "Where an organization has a trash, what is deleted waits here until its days are over: for clients "
        "it is gone, at its provider it still is. An organization's page says for how many days."
    )
    list_before_template = "files_app/admin/trash_note.html"
    list_display = ["name", "organization", "provider", "size", "deleted", "goes"]
    list_display_links = ["name"]
    list_select_related = ["organization", "account"]
    list_filter = [filters.AccountFilter, filters.OrganizationFilter, filters.PurposeFilter]
    search_fields = ["file_id"]
    search_help_text = lazy(search_help, str)()
    sortable_by = ["size", "goes"]
    ordering = ["-state_changed_at", "-id"]
    actions = [as_admin_action(RESTORE, "change"), as_admin_action(PURGE, "delete")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        """Leave out what may be another organization's."""
        rows = super().get_queryset(request).filter(state=FileState.TRASHED).defer("account__credentials")
        return rows if reach_for(request).sees_all else rows.filter(is_withheld=False)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[File], search_term: str
    ) -> tuple[QuerySet[File], bool]:
        return search_files(queryset, search_term, reach_for(request)), False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees files."""
        return request.user.has_perm("files_app.view_file")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever changes files restores them."""
        return request.user.has_perm("files_app.change_file")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever deletes files deletes them for good."""
        return request.user.has_perm("files_app.delete_file")

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse: a file is deleted by the action, which goes through the service."""
        raise Http404

    def show(self, request: HttpRequest, row: File) -> HttpResponse:
        """Lead to the file's page."""
        return redirect(reverse("admin:files_app_file_change", args=[row.pk]))

    def audit_id(self, row: Any) -> str:
        """Return the file's id."""
        return str(row.file_id)

    @admin.display(description="File")
    def name(self, row: File) -> SafeString:
        """Show name and id."""
        return two_lines(row.filename or "unnamed", identifier(row.file_id))

    @admin.display(description="Account")
    def provider(self, row: File) -> str:
        """Show where it still is."""
        return row.account.name

    @admin.display(description="Size", ordering="bytes")
    def size(self, row: File) -> SafeString:
        """Show its size, and whether it counts."""
        counts = row.is_counted and row.is_counted_in_trash
        return two_lines(shown_size(row.bytes), "counted" if counts else "not counted")

    @admin.display(description="Deleted")
    def deleted(self, row: File) -> SafeString:
        """Show when, and by what kind of person."""
        by = "staff" if row.deleted_reason == "admin" else "a client"
        return two_lines(shown_age(row.state_changed_at), by)

    @admin.display(description="Goes", ordering="trash_ends_at")
    def goes(self, row: File) -> SafeString:
        """Show when it is deleted for good."""
        if row.is_held:
            return badge("on hold", "warning", "It stays until the hold is lifted.")
        return format_html("{}", shown_age(row.trash_ends_at))
