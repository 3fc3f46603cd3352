"""Filters of lists. Those with a `column` can be counted: see `facet_counts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, TypedDict

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.db.models import Count, F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from files_app.admin.account_names import account_names
from files_app.admin.requests import reach_for
from files_app.models import ApiKey, FileState

MAX_CHOICES = 500
#: As many rows as are counted to the last one; of more, so many of the newest.
MAX_FACET_ROWS = 200_000
NEWEST_FACET_ROWS = 20_000
OF_NEWEST = "of_newest"
#: The ends of a range of days, as the address has them.
SINCE, UNTIL = "since", "until"
#: What takes order and page off an address; Django's `remove` takes all that begins with a name.
AT_THE_START: Mapping[str, Any] = {ORDER_VAR: None, PAGE_VAR: None}
#: What the log of webhooks is filtered by besides states: what somebody has to look at.
GIVEN_UP, LATE = "given_up", "late"
#: As many digits as no primary key has.
MAX_DIGITS = 19


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
        is_number = value.isdecimal() and len(value) < MAX_DIGITS
        return queryset.filter(**{self.column: int(value)}) if is_number else queryset.none()


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
        """Return the accounts, with their organization where several have a name."""
        names = account_names(request)
        return [(str(account.pk), names.of(account)) for account in names.accounts]


#: What stands for every state; without a choice, a list of files shows what is stored.
ALL_STATES = "all"


class StateFilter(ChoiceFilter):
    """By a file's state: what is stored unless another one is chosen, or something is searched for."""

    title = "state"
    parameter_name = "state"
    column = "state"
    is_tabs = True

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        # Rows that an action was chosen for are named one by one, whatever their state is.
        are_named = request.method == "POST" and request.POST.get("select_across") != "1"
        is_search = bool(request.GET.get("q", "").strip())
        self._default = None if are_named or is_search else str(FileState.AVAILABLE)
        super().__init__(request, *args)

    def value(self) -> str | None:
        """Return the state; None for all of them."""
        chosen = super().value() or self._default
        return None if chosen == ALL_STATES else chosen

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        others = [state for state in FileState if state not in {FileState.AVAILABLE, FileState.FAILED}]
        return [
            (FileState.AVAILABLE.value, "Stored"),
            (FileState.FAILED.value, "Failed"),
            *((state.value, state.value.capitalize()) for state in others),
        ]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the tabs. Another one begins at its first page, in its own order: it has other columns."""
        _, *states = super().choices(changelist)
        for choice in states:
            state = {self.parameter_name: choice["value"], **AT_THE_START}
            yield choice | {"query_string": changelist.get_query_string(state)}
        everything = changelist.get_query_string({self.parameter_name: ALL_STATES, **AT_THE_START})
        yield Choice(selected=self.value() is None, query_string=everything, display="All", value="")

    @property
    def chosen_display(self) -> str:
        """Nothing: the tabs say it."""
        return ""


class PurposeFilter(ChoiceFilter):
    """By purpose: those of OpenAI's reference, and any other that is asked for."""

    title = "purpose"
    parameter_name = "purpose"
    column = "purpose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = ["assistants", "batch", "batch_output", "evals", "fine-tune", "user_data", "vision"]
        asked = request.GET.get(self.parameter_name) or known[0]
        return [(purpose, purpose) for purpose in (known if asked in known else [*known, asked])]


#: The choices of what has an expiry.
EXPIRING = frozenset({"day", "week", "later", "some"})


class ExpiryFilter(ChoiceFilter):
    """By when files expire."""

    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("day", "within a day"),
            ("week", "within a week"),
            ("later", "later"),
            ("some", "at some time"),
            ("never", "never"),
        ]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the choices; the order by expiry goes with the last of them: it needs one."""
        for choice in super().choices(changelist):
            if not choice["value"]:
                bare: dict[str, Any] = {self.parameter_name: None, **AT_THE_START}
                choice["query_string"] = changelist.get_query_string(bare)
            yield choice

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
            case "some":
                return expiring.filter(expires_at__isnull=False)
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


class UploaderFilter(ChoiceFilter):
    """By who uploaded: a key or a person. Values: `key-PK` and `person-NAME`."""

    title = "uploader"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the keys in sight, those that still work first, and a person who is asked for."""
        reach = reach_for(request)
        keys = reach.limit(ApiKey.objects.select_related("organization"))
        rows = list(keys.order_by(F("revoked_at").desc(nulls_first=True), "name", "pk")[:MAX_CHOICES])
        many = len({key.organization_id for key in rows}) > 1
        choices = [(f"key-{key.pk}", key_label(key, with_owner=many)) for key in rows]
        people = [request.user.get_username(), _person_in(request.GET.get(self.parameter_name, ""))]
        return [*((f"person-{name}", name) for name in dict.fromkeys(people) if name), *choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if person := _person_in(value):
            return queryset.filter(uploaded_by=person).exclude(uploaded_by="")
        number = value.removeprefix("key-")
        is_key = value.startswith("key-") and number.isdecimal() and len(number) < MAX_DIGITS
        return queryset.filter(api_key=int(number)) if is_key else queryset.none()


def _person_in(value: str) -> str:
    return value.removeprefix("person-") if value.startswith("person-") else ""


def key_label(key: ApiKey, *, with_owner: bool) -> str:
    """Return a key's name, whose it is, and whether it is of the past."""
    name = f"{key.organization.name}/{key.name}" if with_owner else key.name
    return f"{name} (revoked {key.prefix}\N{HORIZONTAL ELLIPSIS})" if key.revoked_at else name


class DateRangeFilter(admin.ListFilter):
    """From a day to a day, both included, in UTC. Subclasses name the column."""

    title = "date"
    column: ClassVar[str] = ""
    #: So that what goes through the filters of a list need not tell this one apart.
    lookup_choices: ClassVar[list[tuple[str, str]]] = []
    since, until = "", ""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.since = _last(params.pop(SINCE, ""))
        self.until = _last(params.pop(UNTIL, ""))

    def expected_parameters(self) -> list[str | None]:
        """Return the names of the two ends."""
        return [SINCE, UNTIL]

    def has_output(self) -> bool:
        """There is always a time to choose."""
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield nothing: it is drawn with the months."""
        yield from ()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of these days; none where an end is no day."""
        try:
            if self.since:
                queryset = queryset.filter(**{f"{self.column}__gte": _midnight(self.since)})
            if self.until:
                after = _midnight(self.until) + timedelta(days=1)
                queryset = queryset.filter(**{f"{self.column}__lt": after})
        except (ValueError, OverflowError):
            return queryset.none()
        return queryset


def date_range_filter(column: str) -> type[DateRangeFilter]:
    """Return the filter of a column."""
    return type("DateRangeFilter", (DateRangeFilter,), {"column": column})


def _last(values: Any) -> str:
    return str(values[-1] if isinstance(values, list) else values).strip()


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time.min, tzinfo=UTC)


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
