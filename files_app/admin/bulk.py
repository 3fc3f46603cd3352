"""Actions on selected rows: a page to confirm them, and one that tells how each went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from files_app.admin.pages import page
from files_app.exceptions import GatewayError
from providers.exceptions import ProviderConfigurationError, ProviderError

MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the action went for one row."""

    label: str
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class BulkAction:
    """What is done to each row. `run` returns the result in words; a refusal is an exception of ours.

    verb: on the button. warning: what cannot be undone. form: what to ask for besides. label: a row's name.
    max_rows: smaller for actions that ask a provider for each row. command: what does the same in a shell.
    """

    name: str
    title: str
    verb: str
    run: Callable[[HttpRequest, Any, dict[str, Any]], str]
    warning: str = ""
    form: type[forms.Form] = forms.Form
    is_dangerous: bool = False
    max_rows: int = MAX_ROWS
    label: Callable[[Any], str] = str
    command: str = ""

    def respond(
        self, model_admin: ModelAdmin[Any], request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponse:
        """Ask for confirmation, or do it when that was given."""
        selected = list(rows[: self.max_rows + 1])
        form = self.form(request.POST if "confirmed" in request.POST else None)
        if len(selected) > self.max_rows or not form.is_bound or not form.is_valid():
            return self._ask(model_admin, request, selected, form)
        outcomes = [self._outcome(request, row, form.cleaned_data) for row in selected]
        return self._tell(model_admin, request, outcomes)

    def _outcome(self, request: HttpRequest, row: Any, answers: dict[str, Any]) -> Outcome:
        try:
            return Outcome(self.label(row), True, self.run(request, row, answers))
        except (GatewayError, ProviderError) as exc:
            return Outcome(self.label(row), False, exc.message)
        except ProviderConfigurationError as exc:
            return Outcome(self.label(row), False, str(exc))

    def _ask(
        self, model_admin: ModelAdmin[Any], request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        context = {
            "action": self,
            "opts": model_admin.opts,
            "rows": [(row.pk, self.label(row)) for row in rows[: self.max_rows]],
            "is_too_many": len(rows) > self.max_rows,
            "form": form,
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "back": request.get_full_path(),
        }
        return page(request, "confirm.html", self.title, context)

    def _tell(
        self, model_admin: ModelAdmin[Any], request: HttpRequest, outcomes: Sequence[Outcome]
    ) -> HttpResponse:
        context = {
            "action": self,
            "opts": model_admin.opts,
            "outcomes": outcomes,
            "done": sum(outcome.ok for outcome in outcomes),
            "back": request.get_full_path(),
        }
        return page(request, "outcomes.html", self.title, context)


def as_admin_action(action: BulkAction, permission: str) -> Any:
    """Return the action in the form in which a ModelAdmin lists it. permission: change, delete ..."""

    def respond(model_admin: ModelAdmin[Any], request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return action.respond(model_admin, request, rows)

    respond.__name__ = action.name
    respond.short_description = action.title  # type: ignore[attr-defined]  # how Django marks actions
    respond.allowed_permissions = [permission]  # type: ignore[attr-defined]
    respond.command = action.command  # type: ignore[attr-defined]
    return respond
