"""The requests in a batch file, one row each, and each with its answer.

Lists come from the index of the file's lines; a provider is asked only when somebody opens the file's
requests, or one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST

from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of
from files_app.exceptions import GatewayError, InvalidRequestError
from files_app.models import AuditAction, File, LineIndex
from files_app.services.index import audit
from files_app.services.reading.line_content import ShownLine, read_line
from files_app.services.reading.line_index import (
    NoRequestsError,
    current_index,
    has_requests,
    open_index,
    related_to,
)
from files_app.services.reading.line_pages import Entry, Found, by_id, failed_ids, search, slice_of
from files_app.web.exception_handler import answer_for
from providers.exceptions import ProviderConfigurationError, ProviderError

ROWS = 50
MAX_SEARCHED = 200
#: A reader's further pages of the same file are the same reading.
_AUDIT_PAUSE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file that is shown, and what other files of the batch say of the same request."""

    entry: Entry
    answer: Entry | None = None

    @property
    def outcome(self) -> Entry:
        """Return the line that says how it ended."""
        return self.answer or self.entry


@dataclass(slots=True)
class Listing:
    """What the page shows.

    related: files whose lines belong to these. is_answers: these lines are what a job wrote.
    """

    index: LineIndex
    related: list[tuple[File, LineIndex]] = field(default_factory=list)
    is_answers: bool = False
    wanted: str = ""
    only_failed: bool = False
    number: int = 1
    rows: list[Row] = field(default_factory=list)
    total: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether all lines are known, so that they can be searched."""
        return self.index.is_ready and all(index.is_ready for _, index in self.related)

    @property
    def has_outcomes(self) -> bool:
        """Whether it is known how the requests ended."""
        return self.is_answers or bool(self.related)

    @property
    def failed(self) -> int:
        """How many requests failed."""
        indexes = [self.index] if self.is_answers else [index for _, index in self.related]
        return sum(index.failed for index in indexes)

    @property
    def first(self) -> int:
        """The number of the first row among all that fit."""
        return (self.number - 1) * ROWS + 1

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + len(self.rows) - 1

    def link(self, **changes: str | int) -> str:
        """Return the query string of this page with other choices."""
        chosen = {"q": self.wanted, "errors": "1" if self.only_failed else "", "p": ""}
        return "?" + urlencode({name: value for name, value in {**chosen, **changes}.items() if value})

    @property
    def previous(self) -> str:
        """The page before, if there is one."""
        return self.link(p=self.number - 1) if self.number > 1 else ""

    @property
    def next(self) -> str:
        """The page behind, if there is one."""
        return self.link(p=self.number + 1) if self.last < self.total else ""

    @property
    def all_link(self) -> str:
        """All requests, or all that are searched for."""
        return self.link(errors="")

    @property
    def failed_link(self) -> str:
        """Those of them that failed."""
        return self.link(errors="1")


class RequestPages:
    """The pages about requests. readable: returns a file that the user may read, or raises."""

    def __init__(self, readable: Callable[[HttpRequest, int], File], opts: Any) -> None:
        self._readable = readable
        self._opts = opts

    def urls(self, view: Callable[[Any], Any]) -> list[URLPattern]:
        """Return the addresses below that of the list of files."""
        requests = view(require_http_methods(["GET", "HEAD", "POST"])(self.requests))
        request = view(require_POST(self.request))
        return [
            path("<int:pk>/requests/", requests, name="files_app_file_requests"),
            path("<int:pk>/requests/<int:number>/show/", request, name="files_app_file_show"),
        ]

    def requests(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the requests of a file; a POST has it looked into first."""
        try:
            file = self._readable(request, pk)
            if not has_requests(file):
                raise NoRequestsError("Only batch files and their results have requests.")
            if request.method == "POST":
                open_index(file, caller=caller_of(request, file.organization_id))
                return redirect(request.path)
            index = current_index(file)
            if index is not None:
                _audited(request, file)
            context = {"file": file, "listing": _listing(request, file, index) if index else None}
        except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
            return not_possible(request, "The requests cannot be shown", exc, self._opts)
        return page(request, "batch_requests.html", "Requests", {**context, "opts": self._opts})

    def request(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """Answer with one request and its answer as a piece of the page."""
        context: dict[str, Any] = {}
        try:
            file = self._readable(request, pk)
            context = {"sides": _sides(request, file, number)}
        except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
            context = {"error": answer_for(exc).message}
        return TemplateResponse(request, "files_app/admin/batch_request.html", context)


def _audited(request: HttpRequest, file: File) -> None:
    """Write down that somebody reads in a file: ids and errors are part of its content."""
    if cache.add(f"requests-read:{request.user.pk}:{file.pk}", 1, _AUDIT_PAUSE_SECONDS):
        caller = caller_of(request, file.organization_id)
        audit.record_file(caller, AuditAction.FILE_CONTENT, file, part="requests")


def _listing(request: HttpRequest, file: File, index: LineIndex) -> Listing:
    related = [(other, known) for other in related_to(file) if (known := current_index(other))]
    listing = Listing(index, related, is_answers=is_answers(file))
    if listing.is_ready:
        listing.wanted = request.GET.get("q", "").strip()[:MAX_SEARCHED]
        listing.only_failed = request.GET.get("errors") == "1" and listing.has_outcomes
    listing.number = _page_number(request)
    found = _found(listing)
    if not found.entries and listing.number > 1:
        listing.number = 1
        found = _found(listing)
    listing.rows, listing.total = _with_answers(listing, found.entries), found.total
    return listing


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("p", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1


def _found(listing: Listing) -> Found:
    failed = None
    if listing.only_failed and not listing.is_answers:
        failed = {id_ for _, index in listing.related for id_ in failed_ids(index)}
    return search(
        listing.index,
        wanted=listing.wanted,
        only_failed=listing.only_failed,
        failed=failed,
        start=listing.first - 1,
        stop=listing.first - 1 + ROWS,
    )


def _with_answers(listing: Listing, entries: list[Entry]) -> list[Row]:
    if listing.is_answers:
        return [Row(entry) for entry in entries]
    missing = {entry.summary.custom_id for entry in entries}
    answers: dict[str, Entry] = {}
    for _, related in listing.related:
        answers |= by_id(related, missing - answers.keys())
    return [Row(entry, answers.get(entry.summary.custom_id)) for entry in entries]


def _sides(request: HttpRequest, file: File, number: int) -> list[tuple[str, File, ShownLine | None]]:
    """Return the request and its answer; None for one that cannot be found."""
    index = current_index(file)
    entry = next(iter(slice_of(index, number, number + 1)), None) if index else None
    if entry is None:
        raise InvalidRequestError("The file has changed: open its requests again.")
    caller = caller_of(request, file.organization_id)
    sides = [(file, read_line(file, entry, caller=caller))]
    wanted = entry.summary.custom_id
    for other in related_to(file) if wanted else ():
        other_index = current_index(other)
        if other_index and (twin := by_id(other_index, {wanted}).get(wanted)):
            sides.append((other, read_line(other, twin, caller=caller)))
            break
    named = [("Answer" if is_answers(each) else "Request", each, line) for each, line in sides]
    return sorted(named, key=lambda side: side[0], reverse=True)


def is_answers(file: File) -> bool:
    """Whether a file's lines are what a job wrote."""
    return bool(file.result_part) or file.purpose == "batch_output"
