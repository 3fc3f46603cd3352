"""Filters of lists. Those with a `column` can be counted: see `facet_counts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, TypedDict

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from files_app.admin.requests import reach_for
from files_app.models import FileState, ProviderAccount

MAX_CHOICES = 500
#: As many rows as are counted to the last one; of more, so many of the newest.
MAX_FACET_ROWS = 200_000
NEWEST_FACET_ROWS = 20_000
OF_NEWEST = "of_newest"


class Choice(TypedDict):
    """One line of a filter."""

    selected: bool
    query_string: str
    display: str
    value: str


class ChoiceFilter(admin.SimpleListFilter):
    """Rows whose `column` has the chosen value. `column` may be empty where a subclass filters otherwise."""

    column: ClassVar[str] = ""
    parameter_name: str
    title: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{self.column: value}) if value else queryset

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        chosen = self.value()
        yield Choice(
            selected=chosen is None,
            query_string=changelist.get_query_string(remove=[self.parameter_name]),
            display="All",
            value="",
        )
        for value, display in self.lookup_choices:
            yield Choice(
                selected=chosen == str(value),
                query_string=changelist.get_query_string({self.parameter_name: value}),
                display=str(display),
                value=str(value),
            )

    @property
    def chosen_display(self) -> str:
        """What is chosen, in words; empty when nothing is."""
        chosen = self.value()
        if chosen is None:
            return ""
        return next((str(text) for value, text in self.lookup_choices if str(value) == chosen), chosen)


class NumberFilter(ChoiceFilter):
    """A filter by primary key; anything that is no number finds nothing."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(**{self.column: int(value)}) if value.isdecimal() else queryset.none()


class OrganizationFilter(NumberFilter):
    """By organization, of those in sight; hidden when there is only one."""

    title = "organization"
    parameter_name = "organization"
    column = "organization_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = reach_for(request).organizations().values_list("pk", "name")[:MAX_CHOICES]
        choices = [(str(pk), name) for pk, name in rows]
        is_asked = self.parameter_name in request.GET
        return choices if is_asked or len(choices) > 1 else []


class AccountFilter(NumberFilter):
    """By provider account, of those that the organizations in sight may use."""

    title = "account"
    parameter_name = "account"
    column = "account_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the accounts, with their organization where that is not plain."""
        accounts = reach_for(request).usable_accounts().select_related("organization")[:MAX_CHOICES]
        many = len({account.organization_id for account in accounts}) > 1
        choices: list[tuple[str, str]] = []
        for account in accounts:
            choices.append((str(account.pk), account_label(account, with_owner=many)))
        return choices


def account_label(account: ProviderAccount, *, with_owner: bool = True) -> str:
    """Return an account's name and whose it is."""
    if not with_owner:
        return account.name
    return f"{account.name} · {account.organization.name if account.organization else 'shared'}"


class StateFilter(ChoiceFilter):
    """By a file's state."""

    title = "state"
    parameter_name = "state"
    column = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(state), str(state)) for state in FileState]


class PurposeFilter(ChoiceFilter):
    """By purpose: those of OpenAI's reference, and any other that is asked for."""

    title = "purpose"
    parameter_name = "purpose"
    column = "purpose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = ["assistants", "batch", "batch_output", "evals", "fine-tune", "user_data", "vision"]
        asked = request.GET.get(self.parameter_name) or known[0]
        return [(purpose, purpose) for purpose in (known if asked in known else [*known, asked])]


class ExpiryFilter(ChoiceFilter):
    """By when files expire."""

    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("day", "within a day"), ("week", "within a week"), ("later", "later"), ("never", "never")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Only what is there expires: the list shows no expiry of other files."""
        now, expiring = timezone.now(), queryset.filter(state=FileState.AVAILABLE)
        match self.value():
            case "day":
                return expiring.filter(expires_at__lte=now + timedelta(days=1))
            case "week":
                return expiring.filter(expires_at__lte=now + timedelta(days=7))
            case "later":
                return expiring.filter(expires_at__gt=now + timedelta(days=7))
            case "never":
                return queryset.filter(expires_at__isnull=True)
        return queryset


class OriginFilter(ChoiceFilter):
    """Uploaded through the gateway, or found at the provider."""

    title = "origin"
    parameter_name = "origin"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("uploaded", "uploaded here"), ("adopted", "found at the provider")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(is_adopted=value == "adopted") if value else queryset


def facets_of(changelist: ChangeList) -> list[ChoiceFilter]:
    """Return the filters of a list whose choices can be counted."""
    return [spec for spec in changelist.filter_specs if isinstance(spec, ChoiceFilter) and spec.column]


def facet_counts(facets: Sequence[ChoiceFilter], rows: QuerySet[Any]) -> Mapping[str, dict[str, int] | int]:
    """Count the rows of every choice in one query: parameter -> value -> rows.

    rows: filtered by everything except the countable filters. As shops do it, a choice is counted under the
    other filters and not under its own, so that the numbers say what a click would show. Where there are too
    many to count, `of_newest` -> of how many of the newest the numbers are.
    """
    columns = [spec.column for spec in facets]
    is_too_many = rows.order_by().values("pk")[: MAX_FACET_ROWS + 1].count() > MAX_FACET_ROWS
    counts: dict[str, dict[str, int]] = {spec.parameter_name: {} for spec in facets}
    for values, count in (_newest_groups if is_too_many else _groups)(rows, columns):
        texts = ["" if value is None else str(value) for value in values]
        misses = [
            number
            for number, spec in enumerate(facets)
            if spec.value() is not None and spec.value() != texts[number]
        ]
        for number, spec in enumerate(facets):
            if not [miss for miss in misses if miss != number]:
                choices = counts[spec.parameter_name]
                choices[texts[number]] = choices.get(texts[number], 0) + count
    return {**counts, OF_NEWEST: NEWEST_FACET_ROWS} if is_too_many else counts


def _groups(rows: QuerySet[Any], columns: Sequence[str]) -> Iterator[tuple[Sequence[Any], int]]:
    for *values, count in rows.order_by().values_list(*columns).annotate(Count("pk")):
        yield values, count


def _newest_groups(rows: QuerySet[Any], columns: Sequence[str]) -> Iterator[tuple[Sequence[Any], int]]:
    yield from Counter(rows.values_list(*columns)[:NEWEST_FACET_ROWS]).items()
