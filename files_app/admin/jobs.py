"""Jobs on many files: the list, one job's page with its progress and report, and how space is freed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from files_app.admin.base import ReadOnlyAdmin
from files_app.admin.exports import EXPORT_FORMAT, FILES, exported, streamed
from files_app.admin.filters import ChoiceFilter
from files_app.admin.formatting import badge, shown_age, shown_size, two_lines
from files_app.admin.free import free_page
from files_app.admin.meters import meter
from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of, reach_for
from files_app.exceptions import GatewayError
from files_app.models import FileJob, ItemResult, JobKind, JobStatus
from files_app.services.bulk import exports, jobs, report

_SHOWN_REFUSALS = 20
_TONES = {
    JobStatus.QUEUED: "info",
    JobStatus.RUNNING: "info",
    JobStatus.DONE: "ok",
    JobStatus.CANCELLED: "neutral",
}
#: kind -> what a user needs to order it, or to cancel it
RIGHTS = {
    JobKind.DELETE: "files_app.delete_file",
    JobKind.EXPIRE: "files_app.change_file",
    JobKind.RECHECK: "files_app.change_file",
    JobKind.EXPORT: "files_app.view_file",
}


class KindFilter(ChoiceFilter):
    """By what is done."""

    title = "kind"
    parameter_name = "kind"
    column = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.label.lower()) for kind in JobKind]


class StatusFilter(ChoiceFilter):
    """By how far it is."""

    title = "status"
    parameter_name = "status"
    column = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, status.label.lower()) for status in JobStatus]


@admin.register(FileJob)
class JobAdmin(ReadOnlyAdmin):
    """What was asked for many files, and how far it is, of organizations in sight."""

    object_type = "job"
    commands: ClassVar = {
        "view": "files jobs, files cancel",
        "report": "files report",
        "exported": "files exported",
        "free": "files free",
    }
    list_title = "Jobs"
    empty_title = "No jobs"
    empty_text = (
        "A job does one thing to all files that match. Choose files by the filters of their list and press "
        "All that match, or free space here."
    )
    list_display = ["what", "size", "progress", "state", "created"]
    list_display_links = ["what"]
    list_filter = [StatusFilter, KindFilter]
    sortable_by = ["created"]
    ordering = ["-created_at", "-id"]

    def get_urls(self) -> list[URLPattern]:
        """Add the report, and the form that frees space."""

        def view(function: Any) -> Any:
            return self.admin_site.admin_view(function)

        return [
            path("free/", view(self.free), name="files_app_filejob_free"),
            path("<int:pk>/report/", view(require_safe(self.report)), name="files_app_filejob_report"),
            path("<int:pk>/exported/", view(require_safe(self.exported)), name="files_app_filejob_exported"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FileJob]:
        """Leave out jobs that are also for organizations out of sight."""
        return FileJob.objects.within(reach_for(request).organization_ids).order_by(*self.ordering)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees files."""
        return request.user.has_perm("files_app.view_file")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: FileJob | None = None) -> bool:
        """Whoever may order such a job may cancel it."""
        rights = set(RIGHTS.values()) if obj is None else {RIGHTS[JobKind(obj.kind)]}
        return any(request.user.has_perm(right) for right in rights)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Jobs go by themselves, with their reports."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        may_free = request.user.has_perm(RIGHTS[JobKind.DELETE])
        context = {"free_url": reverse("admin:files_app_filejob_free") if may_free else ""}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def audit_id(self, row: FileJob) -> str:
        """Return the job's id."""
        return row.public_id

    # -- one job -------------------------------------------------------------------------------------

    def show(self, request: HttpRequest, row: FileJob) -> HttpResponse:
        """Show how far a job is; cancel it on POST."""
        may_cancel = self.has_change_permission(request, row)
        if request.method == "POST":
            return self._cancel(request, row, may_cancel=may_cancel)
        refused = row.items.filter(result=ItemResult.REFUSED).order_by("pk") if row.refused_files else None
        context = {
            "opts": self.opts,
            "job": row,
            "kind": JobKind(row.kind).label.lower(),
            "tone": _TONES[JobStatus(row.status)],
            "parts": row.parts.select_related("organization").order_by("-bytes"),
            "refused": [] if refused is None else list(refused[:_SHOWN_REFUSALS]),
            "can_cancel": row.is_open and may_cancel,
            "report_url": reverse("admin:files_app_filejob_report", args=[row.pk]),
            "exported_url": _exported_url(row),
            "exported_days": exports.KEPT.days,
        }
        return page(
            request, "job.html", f"{JobKind(row.kind).label.capitalize()} {row.files:,} files", context
        )

    def _cancel(self, request: HttpRequest, row: FileJob, *, may_cancel: bool) -> HttpResponse:
        if not may_cancel:
            raise PermissionDenied
        try:
            jobs.cancel(row, caller=caller_of(request, _only_organization(row)))
        except GatewayError as exc:
            return not_possible(request, "The job cannot be cancelled", exc, self.opts)
        return redirect(request.path)

    def exported(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Answer with what a job exported, as CSV or JSON."""
        row = self._in_sight(request, pk)
        try:
            records = exports.records_of(row)
        except GatewayError as exc:
            return not_possible(request, "There is nothing to take", exc, self.opts)
        kind = request.GET.get(EXPORT_FORMAT, "")
        return exported(request, records, of=FILES, kind=kind, object_id=row.public_id)

    def _in_sight(self, request: HttpRequest, pk: int) -> FileJob:
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None or not self.has_view_permission(request):
            raise Http404
        return row

    def report(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Answer with a line for each file, as CSV or JSON."""
        row = self._in_sight(request, pk)
        return streamed(report.records_of(row), name=f"job-{row.pk}", kind=request.GET.get("format", ""))

    def free(self, request: HttpRequest) -> HttpResponse:
        """Ask how many bytes are to be freed, show what would go, and let it go."""
        return free_page(request, self.opts)

    # -- columns -------------------------------------------------------------------------------------

    @admin.display(description="Job")
    def what(self, row: FileJob) -> SafeString:
        """Show what is done to which files."""
        return two_lines(f"{JobKind(row.kind).label.capitalize()} {row.files:,} files", row.described)

    @admin.display(description="Size")
    def size(self, row: FileJob) -> SafeString:
        """Show the bytes of all of them."""
        return shown_size(row.bytes)

    @admin.display(description="Progress")
    def progress(self, row: FileJob) -> SafeString:
        """Show how much is done."""
        return meter(row.percent, "done", level="ok")

    @admin.display(description="Status")
    def state(self, row: FileJob) -> SafeString:
        """Show whether it goes on, and how many files refused."""
        refused = f"{row.refused_files:,} refused" if row.refused_files else ""
        return two_lines(badge(row.get_status_display().lower(), _TONES[JobStatus(row.status)]), refused)

    @admin.display(description="Ordered", ordering="created_at")
    def created(self, row: FileJob) -> SafeString:
        """Show when, and by whom."""
        return two_lines(shown_age(row.created_at), row.actor)


def _exported_url(job: FileJob) -> str:
    return reverse("admin:files_app_filejob_exported", args=[job.pk]) if exports.is_there(job) else ""


def _only_organization(job: FileJob) -> int | None:
    """Return the organization of a job that is for one alone: its audit trail has it then."""
    organizations = list(job.parts.values_list("organization", flat=True)[:2])
    return organizations[0] if len(organizations) == 1 else None
