"""All files that match a list's filters: what they come to, and the job that is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from files_app.admin.base import without
from files_app.admin.expiry import ExpiryForm
from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of
from files_app.exceptions import GatewayError
from files_app.models import File, FileState, JobKind, Organization
from files_app.models.states import DELETABLE_STATES
from files_app.services.bulk import choice, exports, jobs
from files_app.services.bulk.choice import Summary

#: The parameter of the address that says what is to be done.
KIND = "kind"
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done to all that match. states: of files that it can be done to."""

    kind: JobKind
    title: str
    verb: str
    permission: str
    states: tuple[str, ...]
    warning: str
    form: type[forms.Form] = forms.Form
    is_dangerous: bool = False
    does_change: bool = True


DEEDS = {
    deed.kind.value: deed
    for deed in (
        Deed(
            JobKind.DELETE,
            "Delete all that match",
            "Delete",
            "files_app.delete_file",
            (*DELETABLE_STATES, FileState.FAILED),
            "Clients lose these files at once, and their providers delete them. This cannot be undone, but "
            "for organizations that have a trash. Failed uploads, of which nothing is kept, go off the list.",
            is_dangerous=True,
        ),
        Deed(
            JobKind.EXPIRE,
            "Set expiry of all that match",
            "Set expiry of",
            "files_app.change_file",
            (FileState.AVAILABLE,),
            "The gateway deletes them then. A provider that has its own time may do so earlier.",
            form=ExpiryForm,
        ),
        Deed(
            JobKind.RECHECK,
            "Re-check all that match",
            "Re-check",
            "files_app.change_file",
            (FileState.AVAILABLE, FileState.LOST),
            "Asks each file's provider whether it still has it. One that is missed twice becomes lost.",
        ),
        Deed(
            JobKind.EXPORT,
            "Export all that match",
            "Export",
            "files_app.view_file",
            tuple(FileState.values),
            "Writes down what is known of each file: names and metadata too, of no file its content. Whoever "
            f"may see the job can take it for {exports.KEPT.days} days.",
            does_change=False,
        ),
    )
}


def deeds_for(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what the user may do to all that match: the address's parameter, and words."""
    words = {
        JobKind.DELETE: "Delete…",
        JobKind.EXPIRE: "Set expiry…",
        JobKind.RECHECK: "Re-check…",
        JobKind.EXPORT: "Export in the background…",
    }
    return [
        (f"{KIND}={deed.kind.value}", words[deed.kind])
        for deed in DEEDS.values()
        if request.user.has_perm(deed.permission)
    ]


def matching_page(
    request: HttpRequest, opts: Any, list_of: Callable[[HttpRequest], ChangeList]
) -> HttpResponse:
    """Show how many files match and whose they are, and on confirmation the job that is made of them.

    list_of: returns the list that an address shows.
    """
    deed = DEEDS.get(request.GET.get(KIND, ""))
    if deed is None:
        raise Http404
    if not request.user.has_perm(deed.permission):
        raise PermissionDenied
    asked = without(request, KIND)
    asked.method = "GET"  # whose filters these are, also when the confirmation is sent
    shown = list_of(asked)
    files = shown.get_queryset(asked).filter(state__in=deed.states, is_withheld=False)
    form = deed.form(request.POST if request.method == "POST" else None)
    try:
        if request.method == "POST" and form.is_valid():
            return _ordered(request, deed, files, form, described(shown))
        found = choice.summary(files)
    except GatewayError as exc:
        return not_possible(request, "This cannot be done", exc, opts)
    query = asked.GET.urlencode()
    context = {
        "opts": opts,
        "deed": deed,
        "form": form,
        "found": found,
        "is_too_many": found.files > choice.MAX_FILES,
        "most": choice.MAX_FILES,
        "notes": trash_notes(found) if deed.is_dangerous else [],
        "described": described(shown),
        "back": f"{reverse('admin:files_app_file_changelist')}{'?' if query else ''}{query}",
    }
    return page(request, "matching.html", deed.title, context)


def _ordered(
    request: HttpRequest, deed: Deed, files: QuerySet[File], form: forms.Form, words: str
) -> HttpResponse:
    arguments: dict[str, Any] = {}
    if deed.kind is JobKind.DELETE:
        arguments["reason"] = "admin"
    elif deed.kind is JobKind.EXPIRE:
        expires_at = form.cleaned_data["expires_at"]
        arguments["expires_at"] = expires_at.isoformat() if expires_at else None
    chosen = bounded(files, request)
    organizations = list(chosen.order_by().values_list("organization", flat=True).distinct()[:2])
    only = organizations[0] if len(organizations) == 1 else None
    job = jobs.create(jobs.Order(deed.kind, words, arguments), chosen, caller=caller_of(request, only))
    return redirect(reverse("admin:files_app_filejob_change", args=[job.pk]))


def bounded(files: QuerySet[File], request: HttpRequest) -> QuerySet[File]:
    """Return the files without those that came after the page that was confirmed."""
    text = request.POST.get("up_to", "")
    return files.filter(pk__lte=int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else 0)


def described(shown: ChangeList) -> str:
    """Return what a list is narrowed to, in words."""
    words = [f"search {shown.query}"] if shown.query else []
    named: set[str] = {"q"}
    for spec in shown.filter_specs:
        named.update(name or "" for name in spec.expected_parameters())
        # That of the tabs has no word for its choice: it shows it.
        if chosen := getattr(spec, "chosen_display", "") or getattr(spec, "value", str)():
            words.append(f"{spec.title} {chosen}")
    words += [f"{name} {value}" for name, value in shown.params.items() if name not in named]
    return ", ".join(words)[:500] or "all files"


def trash_notes(found: Summary) -> list[str]:
    """Return what a delete does not free at once, by organization."""
    return [_trash_note(share.organization) for share in found.shares if share.organization.trash_days]


def _trash_note(organization: Organization) -> str:
    counted = "." if organization.trash_is_free else ", and count until then."
    days = f"{organization.trash_days} days"
    return f"{organization.name} has a trash: its files wait there for {days}{counted}"
