"""The list of files: what each of its tabs shows, in which order, and how much that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.admin.account_names import provider_column
from files_app.admin.filters import ALL_STATES, ExpiryFilter, OrganizationFilter, StateFilter
from files_app.admin.formatting import (
    NOTHING,
    badge,
    identifier,
    shown_age,
    shown_size,
    state_badge,
    two_lines,
)
from files_app.admin.requests import reach_for
from files_app.models import FailureKind, File, FileState

#: Failures that an operator can end; the client's own are no alarm.
_ALARMING = frozenset(
    {
        FailureKind.CREDENTIALS,
        FailureKind.CONFIGURATION,
        FailureKind.QUOTA,
        FailureKind.UNCLEAR,
        FailureKind.GATEWAY,
    }
)
_EMPTY_TABS = {
    FileState.FAILED.value: "No upload failed",
    FileState.UPLOADING.value: "No upload is running",
    FileState.DELETING.value: "No file waits for its provider",
    FileState.LOST.value: "No file is lost",
    FileState.DELETED.value: "No file was deleted",
}


class FileChangeList(ChangeList):
    """Knows its tab, and what the counters say where the rows are too many to count.

    counted: files and bytes; None where the rows were counted, or the counters cannot tell.
    """

    counted: tuple[int, int] | None = None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        known = {StateFilter.parameter_name, OrganizationFilter.parameter_name}
        is_counted = self.tab == FileState.AVAILABLE and not self.query
        if is_counted and self.paginator.is_capped and not set(self.filter_params) - known:
            self.counted = self._counters(request)

    def _counters(self, request: HttpRequest) -> tuple[int, int]:
        organizations = reach_for(request).organizations()
        for spec in self.filter_specs:
            if isinstance(spec, OrganizationFilter) and (chosen := spec.value()):
                organizations = organizations.filter(pk=chosen)
        sums = organizations.aggregate(files=Sum("file_count"), size=Sum("used_bytes"))
        return sums["files"] or 0, int(sums["size"] or 0)

    @property
    def tab(self) -> str | None:
        """The state that is shown; None for every one."""
        return next((spec.value() for spec in self.filter_specs if isinstance(spec, StateFilter)), None)

    @property
    def has_sizes(self) -> bool:
        """Whether the bytes of the rows are anywhere: of a failed upload nothing is kept."""
        return self.tab not in {FileState.FAILED, FileState.UPLOADING}

    @property
    def empty_words(self) -> str:
        """What to say of a tab without any row; empty where something else was asked for too."""
        asked = set(self.filter_params) - {StateFilter.parameter_name}
        return "" if asked or self.query else _EMPTY_TABS.get(self.tab or "", "")


def columns_of(request: HttpRequest) -> Sequence[Any]:
    """Return the columns of the tab that is asked for: a state where there are several, a reason of failures.

    Size stays the fifth, wherever it is: addresses name what they are sorted by its place.
    """
    provider = provider_column(request, lambda names, row: names.of(row.account))
    tab = request.GET.get(StateFilter.parameter_name) or ""
    if tab == FileState.FAILED:
        return ["name", "reason", "organization", provider, "uploader", "failed_at"]
    start = ["name", "organization", provider, "purpose", "size", "uploader", "added"]
    is_mixed = tab == ALL_STATES or (not tab and request.GET.get("q", "").strip())
    return [*start, "shown_state" if is_mixed else "expires"]


def address_with_expiry(request: HttpRequest, columns: Sequence[Any]) -> str:
    """Return where to send a request that sorts by expiry, and lists what never expires too; else nothing.

    No index has those that never expire in an order, and nobody looks for them there.
    """
    place = request.GET.get(ORDER_VAR, "").partition(".")[0].removeprefix("-")
    is_listed = place.isdecimal() and 0 < int(place) <= len(columns)
    if not is_listed or columns[int(place) - 1] != "expires":
        return ""
    if ExpiryFilter.parameter_name in request.GET:
        return ""
    pairs = [*request.GET.items(), (ExpiryFilter.parameter_name, "some")]
    return f"{reverse('admin:files_app_file_changelist')}?{urlencode(pairs)}"


def uploader_of(file: File) -> str:
    """Return the value of the filter by uploader that finds a file's; empty where nobody uploaded it."""
    if file.api_key_id is not None:
        return f"key-{file.api_key_id}"
    return f"person-{file.uploaded_by}" if file.uploaded_by else ""


class FileColumns:
    """The columns."""

    @admin.display(description="File")
    def name(self, row: File) -> SafeString:
        """Show name and id."""
        return two_lines(
            row.filename or format_html('<span class="fg-muted">unnamed</span>'), identifier(row.file_id)
        )

    @admin.display(description="Account")
    def provider(self, row: File) -> str:
        """Show where it is; lists use `provider_column`."""
        return row.account.name

    @admin.display(description="Size", ordering="-bytes")
    def size(self, row: File) -> SafeString:
        """Show its size for people; the first click brings the largest."""
        return shown_size(row.bytes) if row.bytes or row.state == FileState.AVAILABLE else NOTHING

    @admin.display(description="Uploaded by")
    def uploader(self, row: File) -> SafeString:
        """Show which key or person it came from."""
        if row.is_adopted:
            return format_html('<span class="fg-muted" title="{}">{}</span>', "At the provider", "found")
        icon = "key" if row.api_key_id is not None else "person"
        name = row.api_key.name if row.api_key is not None else row.uploaded_by
        if not name:
            return NOTHING
        return format_html(
            '<a class="fg-who" href="?by={}" title="{} {}: all of its files"><span '
            'class="material-symbols-outlined" aria-hidden="true">{}</span><bdi>{}</bdi></a>',
            uploader_of(row),
            icon.capitalize(),
            name,
            icon,
            name,
        )

    @admin.display(description="Reason")
    def reason(self, row: File) -> SafeString:
        """Show why the upload failed."""
        if not row.failure:
            return NOTHING
        told = format_html('<span class="fg-reason" title="{}">{}</span>', row.failure, row.failure)
        return two_lines(failure_badge(row), told) if row.failure_kind else told

    @admin.display(description="State")
    def shown_state(self, row: File) -> SafeString:
        """Show its state."""
        return file_state(row)

    @admin.display(description="Added", ordering="indexed_at")
    def added(self, row: File) -> SafeString:
        """Show how old it is."""
        return shown_age(row.indexed_at)

    @admin.display(description="Failed", ordering="indexed_at")
    def failed_at(self, row: File) -> SafeString:
        """Show when the upload failed."""
        return shown_age(row.state_changed_at)

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, row: File) -> SafeString:
        """Show when it goes by itself, and what keeps clients from it."""
        if row.is_withheld or (row.state == FileState.AVAILABLE and row.is_expired):
            return file_state(row)
        return shown_age(row.expires_at) if row.state == FileState.AVAILABLE else NOTHING


def file_state(row: File) -> SafeString:
    """Return the badge of a file's state."""
    if row.state == FileState.AVAILABLE and row.is_expired:
        return badge("expired", "warning", "Invisible to clients; its deletion comes next.")
    if row.is_withheld:
        return badge("withheld", "warning", "It may be another organization's: its account is shared.")
    return state_badge(row.state)


def failure_badge(row: File) -> SafeString:
    """Return the badge of why an upload failed."""
    return badge(row.get_failure_kind_display(), "critical" if row.failure_kind in _ALARMING else "warning")
