"""The form that frees space: so many bytes, of the oldest files of a purpose, of these organizations."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold import widgets

from files_app.admin.fields import SizeField
from files_app.admin.matching import bounded, trash_notes
from files_app.admin.pages import not_possible, page
from files_app.admin.requests import caller_of, reach_for
from files_app.admin.staff_form import OrganizationBoxes
from files_app.exceptions import GatewayError
from files_app.models import JobKind, Organization
from files_app.models.files import FileQuerySet
from files_app.services.bulk import choice, jobs
from files_app.services.reading.listing import FileFilters
from files_app.words import exact_bytes


class FreeForm(forms.Form):
    """How much, and of what. The organizations are those in sight."""

    bytes = SizeField(label="Space to free", initial="20 GB", help_text="Such as 20 GB or 500 MiB.")
    purpose = forms.CharField(
        max_length=64,
        required=False,
        initial="user_data",
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="Only files of this purpose; empty for all.",
    )
    organizations = forms.ModelMultipleChoiceField(Organization.objects.none(), widget=OrganizationBoxes)

    def __init__(self, request: HttpRequest) -> None:
        given = request.POST if request.method == "POST" else request.GET
        super().__init__(given if "bytes" in given else None)
        field = self.fields["organizations"]
        field.queryset = reach_for(request).organizations().order_by("name")  # type: ignore[attr-defined]

    @property
    def described(self) -> str:
        """What is asked for, in words."""
        of = f" of {self.cleaned_data['purpose']}" if self.cleaned_data["purpose"] else ""
        return f"the oldest files{of}, until {exact_bytes(self.cleaned_data['bytes'])} are free"

    def oldest(self) -> FileQuerySet:
        """Return the files that would go. Raises GatewayError."""
        given = self.cleaned_data
        filters = FileFilters(purpose=given["purpose"] or None)
        return choice.oldest(list(given["organizations"]), filters, given["bytes"])


def free_page(request: HttpRequest, opts: Any) -> HttpResponse:
    """Show the form, what would go, and on confirmation the job that lets it go."""
    if not request.user.has_perm("files_app.delete_file"):
        raise PermissionDenied
    form = FreeForm(request)
    context: dict[str, Any] = {"opts": opts, "form": form}
    try:
        if form.is_bound and form.is_valid():
            if request.method == "POST":
                return _ordered(request, form)
            found = choice.summary(form.oldest())
            context |= {
                "found": found,
                "is_less": found.bytes < form.cleaned_data["bytes"],
                "notes": trash_notes(found),
            }
    except GatewayError as exc:
        return not_possible(request, "This space cannot be freed", exc, opts)
    return page(request, "free.html", "Free space", context)


def _ordered(request: HttpRequest, form: FreeForm) -> HttpResponse:
    organizations = list(form.cleaned_data["organizations"])
    only = organizations[0].pk if len(organizations) == 1 else None
    order = jobs.Order(JobKind.DELETE, form.described, {"reason": "admin"})
    job = jobs.create(order, bounded(form.oldest(), request), caller=caller_of(request, only))
    return redirect(reverse("admin:files_app_filejob_change", args=[job.pk]))
