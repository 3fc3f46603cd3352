"""Files: the list with its facets, one file's page, and what can be done to them."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import lazy
from django.views.decorators.http import require_POST, require_safe

from files_app.admin import filters
from files_app.admin.archive import archive_files
from files_app.admin.base import ReadOnlyAdmin, without
from files_app.admin.batch_requests import RequestPages
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.expiry import ExpiryForm
from files_app.admin.exports import EXPORT_FORMAT, FILES, MAX_ROWS, export, export_action
from files_app.admin.fields import shown_json
from files_app.admin.file_list import FileChangeList, FileColumns, address_with_expiry, columns_of
from files_app.admin.file_page import failure_panel, has_content, origin_facts, timeline, why_unreadable
from files_app.admin.folders import folders_of_chosen
from files_app.admin.formatting import exact
from files_app.admin.holds import HOLD, HeldFilter, MayHold
from files_app.admin.matching import KIND, deeds_for, matching_page
from files_app.admin.pages import not_possible, page
from files_app.admin.paginator import SizedPaginator
from files_app.admin.preview import image_response, pdf_response, preview
from files_app.admin.requests import caller_of, reach_for
from files_app.admin.search import search_files, search_help
from files_app.exceptions import FileNotFoundInIndexError, GatewayError, InvalidRequestError
from files_app.models import CopyState, DeletedReason, File, FileState, JobKind
from files_app.services.bulk.actions import delete
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import set_expiry
from files_app.services.index.file_objects import file_record
from files_app.services.reading import downloads
from files_app.services.reading.batches import files_of_batch
from files_app.services.reading.line_index import has_requests
from files_app.services.retention.holds import holds_of
from files_app.services.upstream.recheck import recheck_file
from files_app.web.content import content_response
from files_app.web.exception_handler import answer_for
from files_app.web.security_headers import FRAMING_POLICY
from providers.exceptions import ProviderConfigurationError, ProviderError

FACETS_CACHE_SECONDS = 30
WAITING_STATES = (CopyState.DELETING, CopyState.DEAD)


def _delete(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    return delete(file, caller_of(request, file.organization_id), {"reason": DeletedReason.ADMIN})


def _set_expiry(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    expires_at = answers["expires_at"]
    set_expiry(file, expires_at, caller=caller_of(request, file.organization_id))
    return f"expires {exact(expires_at)}" if expires_at else "never expires"


def _retry_deletion(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    caller = caller_of(request, file.organization_id)
    waiting = file.copies.filter(state__in=WAITING_STATES).select_related("account", "file__account")
    retried = sum(outbox.retry_dead(copy, caller=caller) for copy in waiting)
    if not retried:
        raise InvalidRequestError("No deletion waits at a provider.")
    return "sent again"


def _recheck(request: HttpRequest, file: File, answers: dict[str, Any]) -> str:
    return recheck_file(file, caller=caller_of(request, file.organization_id))


DELETE = BulkAction(
    name="delete_files",
    title="Delete files",
    verb="Delete",
    run=_delete,
    warning="Clients lose these files at once. Where their organization has a trash, they wait there for "
    "some days; else their providers delete them, and this cannot be undone. Failed uploads, of which "
    "nothing is kept, go off the list.",
    is_dangerous=True,
    command="files delete",
)
SET_EXPIRY = BulkAction(
    name="set_expiry",
    title="Set expiry",
    verb="Set expiry",
    run=_set_expiry,
    warning="The gateway deletes them then. A provider that has its own time may do so earlier.",
    form=ExpiryForm,
    command="files expire",
)
RETRY = BulkAction(
    name="retry_deletion",
    title="Retry deletion",
    verb="Retry",
    run=_retry_deletion,
    command="deletions retry",
)
RECHECK = BulkAction(
    name="recheck",
    title="Re-check at provider",
    verb="Re-check",
    run=_recheck,
    warning="Asks each file's provider whether it still has it. One that is missed twice becomes lost.",
    max_rows=50,
    command="files recheck",
)


@admin.register(File)
class FileAdmin(MayHold, FileColumns, ReadOnlyAdmin):
    """The index of files."""

    object_type = "file"
    commands: ClassVar = {
        "view": "files list, files show",
        "delete": "files delete",
        "facets": "files list",
        "export": "files list",
        "bulk": "files bulk",
        "preview": "files download",
        "image": "files download",
        "pdf": "files download",
        "download": "files download",
        "requests": "files download",
        "show": "files download",
    }
    empty_title = "No files yet"
    empty_text = "Upload one here in the browser, or send one with an API key and OpenAI's SDK."
    empty_link = "admin:upload"
    empty_link_text = "Upload files"
    list_display = ["name", "organization", "provider", "purpose", "size", "uploader", "added", "expires"]
    list_display_links = ["name"]
    list_select_related = ["organization", "account__organization", "api_key"]
    list_filter = [
        filters.StateFilter,
        filters.AccountFilter,
        filters.OrganizationFilter,
        filters.UploaderFilter,
        filters.PurposeFilter,
        filters.ExpiryFilter,
        filters.OriginFilter,
        HeldFilter,
    ]
    search_fields = ["file_id"]
    search_help_text = lazy(search_help, str)()
    sortable_by = ["size", "added", "failed_at", "expires"]
    paginator = SizedPaginator
    ordering = ["-indexed_at", "-id"]
    date_hierarchy = "indexed_at"
    has_facets = True
    actions = [
        as_admin_action(DELETE, "delete"),
        as_admin_action(SET_EXPIRY, "change"),
        as_admin_action(HOLD, "hold"),
        as_admin_action(RETRY, "change"),
        as_admin_action(RECHECK, "change"),
        archive_files,
        export_action("csv", "Export as CSV"),
        export_action("jsonl", "Export as JSON"),
    ]

    def get_urls(self) -> list[URLPattern]:
        """Add facets, export, preview, download, and the requests of batch files."""

        def view(function: Any) -> Any:
            return self.admin_site.admin_view(function)

        return [
            path("facets/", view(require_safe(self.facets)), name="files_app_file_facets"),
            path("bulk/", view(self.act_on_matching), name="files_app_file_bulk"),
            path("export/", view(require_safe(self.export_matching)), name="files_app_file_export"),
            path("<int:pk>/preview/", view(require_POST(self.preview)), name="files_app_file_preview"),
            path("<int:pk>/image/", view(require_safe(self.image)), name="files_app_file_image"),
            path("<int:pk>/pdf/", view(require_safe(self.pdf)), name="files_app_file_pdf"),
            path("<int:pk>/download/", view(require_POST(self.download)), name="files_app_file_download"),
            *RequestPages(self._readable, self.opts).urls(view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        """Leave the ciphertext of accounts where it is, and out what may be another organization's."""
        rows = super().get_queryset(request).defer("account__credentials")
        return rows if reach_for(request).sees_all else rows.filter(is_withheld=False)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns of the chosen tab."""
        return columns_of(request)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Return what goes next first, where the list is of what expires; else the newest."""
        soonest_first = request.GET.get(filters.ExpiryFilter.parameter_name) in filters.EXPIRING
        return ["expires_at", "-id"] if soonest_first else self.ordering

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FileChangeList]:
        return FileChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[File], search_term: str
    ) -> tuple[QuerySet[File], bool]:
        return search_files(queryset, search_term, reach_for(request)), False

    def has_content_permission(self, request: HttpRequest) -> bool:
        """Whether the user may read what is in files."""
        return request.user.has_perm("files_app.read_file_content")

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse: a file is deleted by the action, which goes through the service."""
        raise Http404

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if request.method == "GET" and (address := address_with_expiry(request, columns_of(request))):
            return redirect(address)
        context = {
            "export_url": reverse("admin:files_app_file_export"),
            "bulk_url": reverse("admin:files_app_file_bulk"),
            "deeds": deeds_for(request),
            "can_upload": self._can_upload(request),
            "folders_url": folders_of_chosen(request),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _can_upload(self, request: HttpRequest) -> bool:
        return request.user.has_perm("files_app.add_file")

    # -- the list's other answers --------------------------------------------------------------------

    def facets(self, request: HttpRequest) -> JsonResponse:
        """Answer with the number of files of every choice of every filter.

        `of_newest` is there where too many files match: then so many of the newest were counted.
        """
        self._require_view(request)
        asked = hashlib.sha256(request.GET.urlencode().encode()).hexdigest()
        key = f"facets:{asked}:{reach_for(request).cache_key}"
        counts = cache.get(key)
        if counts is None:
            counts = filters.facet_counts(*self._facets_and_rows(request))
            cache.set(key, counts, FACETS_CACHE_SECONDS)
        return JsonResponse(counts)

    def _facets_and_rows(self, request: HttpRequest) -> tuple[list[filters.ChoiceFilter], QuerySet[File]]:
        """Return the filters that can be counted, and the rows that all the other filters leave."""
        facets = filters.facets_of(self.get_changelist_instance(request))
        every_state = {filters.StateFilter.parameter_name: filters.ALL_STATES}
        bare = without(request, *(facet.parameter_name for facet in facets), **every_state)
        return facets, self.get_changelist_instance(bare).get_queryset(bare)

    def export_matching(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with all files that match the list's filters; what is more than a request takes is a job."""
        self._require_view(request)
        rows = self.matching(request).select_related("account__organization")
        if rows[MAX_ROWS : MAX_ROWS + 1]:
            asked = without(request, EXPORT_FORMAT, **{KIND: JobKind.EXPORT.value})
            return redirect(f"{reverse('admin:files_app_file_bulk')}?{asked.GET.urlencode()}")
        return export(request, rows, file_record, of=FILES, kind=request.GET.get(EXPORT_FORMAT, ""))

    def act_on_matching(self, request: HttpRequest) -> HttpResponse:
        """Make a job of all files that match the list's filters, once somebody has seen how many they are."""
        self._require_view(request)
        return matching_page(request, self.opts, self.get_changelist_instance)

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    # -- one file ------------------------------------------------------------------------------------

    def show(self, request: HttpRequest, row: File) -> HttpResponse:
        """Show everything that is known of a file."""
        response = page(request, "file.html", row.filename or row.file_id, self._facts(request, row))
        response.headers["Content-Security-Policy"] = FRAMING_POLICY
        return response

    def _facts(self, request: HttpRequest, file: File) -> dict[str, Any]:
        may_change = self.has_change_permission(request, file)
        is_available = file.state == FileState.AVAILABLE
        is_deletable = file.state == FileState.FAILED or (is_available and not file.is_withheld)
        events = timeline(file)
        return {
            **origin_facts(request, file),
            "failure": failure_panel(request, file, events),
            "opts": self.opts,
            "file": file,
            "copies": file.copies.select_related("account").order_by("pk"),
            "batch": files_of_batch(file),
            "has_requests": has_requests(file),
            "events": events,
            "metadata": shown_json(file.metadata) if file.metadata else "",
            "can_read": is_available and self.has_content_permission(request) and has_content(file),
            "reason_unreadable": why_unreadable(file),
            "holds": holds_of(file) if file.is_held else [],
            "can_hold": is_available and not file.is_withheld and self.has_hold_permission(request),
            "can_delete": is_deletable and not file.is_held and self.has_delete_permission(request, file),
            "can_change": may_change,
            "can_recheck": may_change and file.state != FileState.FAILED,
            "can_expire": may_change and is_available and not file.is_held,
            "may_see_audit": request.user.has_perm("files_app.view_auditevent"),
            "base_url": request.build_absolute_uri("/v1"),
            "link": request.build_absolute_uri(request.path),
            "waiting_states": WAITING_STATES,
        }

    def _readable(self, request: HttpRequest, pk: int) -> File:
        """Return a file whose content the user may read."""
        if not (self.has_view_permission(request) and self.has_content_permission(request)):
            raise PermissionDenied
        file = self.get_queryset(request).select_related("organization", "account").filter(pk=pk).first()
        if file is None:
            raise Http404
        if file.state != FileState.AVAILABLE:
            raise FileNotFoundInIndexError(file.file_id)
        return file

    def preview(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with the first bytes of a file as a piece of the page."""
        context: dict[str, Any] = {}
        try:
            file = self._readable(request, pk)
            context = {"file": file, "preview": preview(request, file)}
        except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
            context["error"] = answer_for(exc).message
        return TemplateResponse(request, "files_app/admin/preview.html", context)

    def image(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Answer with a picture for the preview."""
        return self._drawn(request, pk, image_response)

    def pdf(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Answer with a PDF for the preview."""
        return self._drawn(request, pk, pdf_response)

    def _drawn(self, request: HttpRequest, pk: int, respond: Any) -> HttpResponseBase:
        try:
            answer: HttpResponseBase = respond(request, self._readable(request, pk))
        except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
            answer = HttpResponse(answer_for(exc).message, content_type="text/plain", status=404)
        return answer

    def download(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Stream a file to the browser, as an attachment."""
        try:
            file = self._readable(request, pk)
            opened = downloads.open_file(file, caller=caller_of(request, file.organization_id))
        except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
            return not_possible(request, "The file cannot be downloaded", exc, self.opts)
        return content_response(file, opened)

    def audit_id(self, row: Any) -> str:
        """Return the file's id."""
        return str(row.file_id)
