"""Deletions: what still has to go at a provider, why it does not, and what an operator can do."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from files_app.admin.account_names import provider_column
from files_app.admin.base import ReadOnlyAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.filters import AccountFilter, ChoiceFilter, OrganizationFilter
from files_app.admin.formatting import NOTHING, identifier, shown_age, state_badge, two_lines
from files_app.admin.requests import caller_of
from files_app.exceptions import InvalidRequestError
from files_app.models import CopyState, FileCopy
from files_app.services.deletes import outbox

WAITING = (CopyState.DELETING, CopyState.DEAD, CopyState.UNCONFIRMED)


class QueueStateFilter(ChoiceFilter):
    """By how the deletion stands."""

    title = "state"
    parameter_name = "state"
    column = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (CopyState.DELETING.value, "deleting: tried again by itself"),
            (CopyState.DEAD.value, "dead: somebody has to look"),
            (CopyState.UNCONFIRMED.value, "unconfirmed: an answer was lost"),
        ]


class CopyOrganizationFilter(OrganizationFilter):
    """By the organization of the copy's file."""

    column = "file__organization_id"


class ReasonForm(forms.Form):
    """Why the provider may keep the bytes."""

    reason = forms.CharField(
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="Goes into the audit trail, such as: the provider's account was closed.",
    )


def _label(copy: FileCopy) -> str:
    return f"{copy.file} at {copy.account.name}"


def _retry(request: HttpRequest, copy: FileCopy, answers: dict[str, Any]) -> str:
    if not outbox.retry_dead(copy, caller=caller_of(request, copy.file.organization_id)):
        raise InvalidRequestError(f"It is {copy.state}: the gateway looks for it at the provider by itself.")
    return "sent again"


def _give_up(request: HttpRequest, copy: FileCopy, answers: dict[str, Any]) -> str:
    caller = caller_of(request, copy.file.organization_id)
    if not outbox.give_up(copy, caller=caller, reason=answers["reason"]):
        raise InvalidRequestError(f"It is {copy.state}: there is no delete to give up.")
    return "given up: the provider may keep its bytes"


RETRY = BulkAction(
    name="retry_deletions",
    title="Retry now",
    verb="Retry",
    run=_retry,
    warning="Starts the attempts anew, with a day of retries.",
    label=_label,
    command="deletions retry",
)
GIVE_UP = BulkAction(
    name="give_up_deletions",
    title="Give up",
    verb="Give up",
    run=_give_up,
    warning="The gateway stops asking. Whatever the provider still holds stays there.",
    form=ReasonForm,
    is_dangerous=True,
    label=_label,
    command="deletions give-up",
)


@admin.register(FileCopy)
class DeletionAdmin(ReadOnlyAdmin):
    """The queue of deletes at providers."""

    organization_path = "file__organization"
    commands: ClassVar = {"view": "deletions list"}
    list_title = "Deletions"
    empty_title = "Nothing waits to be deleted"
    empty_text = (
        "Deletes that a provider has not confirmed yet appear here, with their errors and next attempt."
    )
    list_display = ["shown_file", "provider", "shown_state", "next_attempt", "error"]
    list_display_links = ["shown_file"]
    list_select_related = ["file", "file__organization", "account__organization"]
    list_filter = [QueueStateFilter, AccountFilter, CopyOrganizationFilter]
    search_fields = ["remote_id"]
    search_help_text = "Id, or the provider's id"
    sortable_by = ["shown_state", "next_attempt"]
    ordering = ["state", "state_changed_at", "id"]  # `dead` is the first of them, and what waits longest
    actions = [as_admin_action(RETRY, "change"), as_admin_action(GIVE_UP, "change")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FileCopy]:
        rows: QuerySet[FileCopy] = super().get_queryset(request)
        return rows.filter(state__in=WAITING).defer("account__credentials")

    def get_list_display(self, request: HttpRequest) -> Any:
        """Call accounts so that each is told from the others."""
        provider = provider_column(
            request, lambda names, row: two_lines(names.of(row.account), row.file.organization.name)
        )
        return [provider if column == "provider" else column for column in self.list_display]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(remote_id=term) | queryset.filter(file__file_id=term), False

    def show(self, request: HttpRequest, row: FileCopy) -> HttpResponse:
        """Lead to the file, which shows its copies."""
        return redirect(f"{reverse('admin:files_app_file_change', args=[row.file_id])}#copies")

    def has_delete_permission(self, request: HttpRequest, obj: FileCopy | None = None) -> bool:
        """They leave by being done or given up."""
        return False

    def audit_id(self, row: Any) -> str:
        """Return the file's id."""
        return str(row.file.file_id)

    @admin.display(description="File")
    def shown_file(self, row: FileCopy) -> SafeString:
        """Show the file's name and its id at the provider."""
        return two_lines(row.file.filename or "unnamed", identifier(row.remote_id or row.file.file_id))

    @admin.display(description="Account")
    def provider(self, row: FileCopy) -> SafeString:
        """Show who has to delete, and whose file it was."""
        return two_lines(row.account.name, row.file.organization.name)

    @admin.display(description="State", ordering="state_changed_at")
    def shown_state(self, row: FileCopy) -> SafeString:
        """Show how it stands, and since when."""
        return two_lines(state_badge(row.state), shown_age(row.state_changed_at))

    @admin.display(description="Next attempt", ordering="next_attempt_at")
    def next_attempt(self, row: FileCopy) -> SafeString:
        """Show when it is tried again, and how often it was."""
        attempts = f"{row.attempts} attempt{'s' if row.attempts != 1 else ''} so far"
        return two_lines(shown_age(row.next_attempt_at), attempts)

    @admin.display(description="Last error")
    def error(self, row: FileCopy) -> SafeString:
        """Show why it is still here."""
        if not row.last_error:
            return NOTHING
        return format_html('<span class="fg-clip" title="{}">{}</span>', row.last_error, row.last_error)
