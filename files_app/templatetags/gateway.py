"""What the admin's templates need to say sizes, ages and states, and to draw filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import template
from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.cache import cache
from django.db.models import Max, Min
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from files_app import words
from files_app.admin import formatting
from files_app.admin.filters import SINCE, UNTIL, ChoiceFilter, DateRangeFilter
from files_app.admin.meters import meter
from files_app.admin.requests import reach_for

register = template.Library()

_BOUNDS_SECONDS = 300
_MAX_PERIODS = 24

register.filter("readable", words.short_bytes)
register.filter("age", formatting.shown_age)
register.filter("exact", formatting.exact)
register.filter("state_badge", formatting.state_badge)
register.filter("identifier", formatting.identifier)
register.simple_tag(formatting.badge)
register.simple_tag(meter)


@register.inclusion_tag("files_app/admin/copy.html")
def copy_button(text: str, label: str = "Copy") -> dict[str, str]:
    """Return a button that copies a text."""
    return {"text": text, "label": label}


@register.filter
def list_title(opts: Any) -> str:
    """Return what the admin calls a model's rows."""
    registered = admin.site._registry.get(opts.model)
    return getattr(registered, "all_of_them", "") or capfirst(str(opts.verbose_name_plural))


@register.simple_tag
def is_narrowed(changelist: ChangeList) -> bool:
    """Whether a search or a filter is on."""
    chosen = (spec.chosen_display for spec in changelist.filter_specs if isinstance(spec, ChoiceFilter))
    return bool(
        changelist.query or _chosen_period(changelist) or _range_of(changelist).display or any(chosen)
    )


@dataclass(frozen=True, slots=True)
class Period:
    """A month or a day that can be chosen."""

    label: str
    link: str
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """The days that are chosen, as the fields of the form have them; `kept` is what else the address says."""

    since: str = ""
    until: str = ""
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def display(self) -> str:
        """The range in words; empty for none."""
        if self.since and self.until:
            return self.since if self.since == self.until else f"{self.since} to {self.until}"
        return f"from {self.since}" if self.since else f"until {self.until}" if self.until else ""


@dataclass(frozen=True, slots=True)
class Periods:
    """What the filter by date offers."""

    chosen: str
    all_link: str
    choices: list[Period]
    range: Range


@register.simple_tag(takes_context=True)
def periods(context: dict[str, Any], changelist: ChangeList) -> Periods | None:
    """Return the months between the oldest row and the newest, and the days of a chosen month.

    Django's own hierarchy asks for the distinct months of all rows; the two ends cost nothing.
    """
    if not changelist.date_hierarchy:
        return None
    first, last = _bounds(context, changelist)
    if first is None or last is None:
        return None
    year, month, day = _parts(changelist)
    if year and month:
        choices = list(_days(changelist, year, month, day, last))
    else:
        choices = [_month(changelist, *pair) for pair in _months(first, last)][:_MAX_PERIODS]
    days = _range_of(changelist)
    return Periods(_chosen_period(changelist) or days.display, _without_period(changelist), choices, days)


def _range_of(changelist: ChangeList) -> Range:
    spec = next((spec for spec in changelist.filter_specs if isinstance(spec, DateRangeFilter)), None)
    if spec is None:
        return Range()
    dropped = {SINCE, UNTIL, PAGE_VAR, *_period_names(changelist)}
    kept = [(name, str(value)) for name, value in changelist.params.items() if name not in dropped]
    return Range(spec.since, spec.until, tuple(kept))


def _bounds(context: dict[str, Any], changelist: ChangeList) -> tuple[datetime | None, datetime | None]:
    request = context["request"]
    key = f"bounds:{changelist.model._meta.label}:{reach_for(request).cache_key}"
    bounds = cache.get(key)
    if bounds is None:
        field = str(changelist.date_hierarchy)
        found = changelist.root_queryset.order_by().aggregate(first=Min(field), last=Max(field))
        bounds = (found["first"], found["last"])
        cache.set(key, bounds, _BOUNDS_SECONDS)
    first, last = bounds
    return first, last


def _months(first: datetime, last: datetime) -> Iterator[tuple[int, int]]:
    year, month = last.year, last.month
    while (year, month) >= (first.year, first.month):
        yield year, month
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _month(changelist: ChangeList, year: int, month: int) -> Period:
    return Period(f"{date(year, month, 1):%B %Y}", _period_link(changelist, year=year, month=month))


def _days(changelist: ChangeList, year: int, month: int, chosen: int, last: datetime) -> Iterator[Period]:
    for number in range(31, 0, -1):
        try:
            day = date(year, month, number)
        except ValueError:
            continue
        if day <= last.date():
            link = _period_link(changelist, year=year, month=month, day=number)
            yield Period(f"{day:%a %d %B}", link, number == chosen)


def _period_link(changelist: ChangeList, **parts: int) -> str:
    names = _period_names(changelist)
    new = {f"{changelist.date_hierarchy}__{part}": str(value) for part, value in parts.items()}
    return changelist.get_query_string({**dict.fromkeys([*names, SINCE, UNTIL, PAGE_VAR]), **new})


def _period_names(changelist: ChangeList) -> list[str]:
    return [f"{changelist.date_hierarchy}__{part}" for part in ("year", "month", "day")]


def _without_period(changelist: ChangeList) -> str:
    return changelist.get_query_string(dict.fromkeys([*_period_names(changelist), SINCE, UNTIL, PAGE_VAR]))


def _parts(changelist: ChangeList) -> tuple[int, int, int]:
    texts = [changelist.params.get(name, "") for name in _period_names(changelist)]
    year, month, day = (int(text) if str(text).isdecimal() else 0 for text in texts)
    return year, month, day


def _chosen_period(changelist: ChangeList) -> str:
    if not changelist.date_hierarchy:
        return ""
    year, month, day = _parts(changelist)
    try:
        chosen = date(year, month or 1, day or 1) if year else None
    except ValueError:
        chosen = None
    if chosen is None:
        return ""
    return f"{chosen:%d %B %Y}" if day else f"{chosen:%B %Y}" if month else f"{year}"


@dataclass(frozen=True, slots=True)
class PageBar:
    """Where the reader is in a list. `total` ends with + where counting stopped.

    size: the bytes of all rows, in words; empty where rows have none. note: what the totals leave out.
    """

    first: int
    last: int
    total: str
    size: str
    note: str
    previous: str
    next: str


@register.simple_tag
def page_bar(changelist: ChangeList) -> PageBar:
    """Return which rows are shown, of how many, and the pages beside."""
    paginator, number = changelist.paginator, changelist.page_num
    count = paginator.count
    first = (number - 1) * paginator.per_page + 1 if count else 0
    total, size, note = _totals(changelist)
    return PageBar(
        first,
        min(count, number * paginator.per_page),
        total,
        size,
        note,
        changelist.get_query_string({"p": number - 1}) if number > 1 else "",
        changelist.get_query_string({"p": number + 1}) if number < paginator.num_pages else "",
    )


def _totals(changelist: ChangeList) -> tuple[str, str, str]:
    paginator = changelist.paginator
    count, is_capped = paginator.count, getattr(paginator, "is_capped", False)
    if counted := getattr(changelist, "counted", None):
        note = f"What counts against quotas. The first {count:,} can be paged to; filters reach the rest."
        return f"{counted[0]:,}", words.short_bytes(counted[1]), note
    size = getattr(paginator, "size", None) if getattr(changelist, "has_sizes", False) else None
    if not is_capped:
        return f"{count:,}", "" if size is None else words.short_bytes(size), ""
    note = f"Only the first {count:,} were counted; filters narrow the list."
    return f"{count:,}+", "" if size is None else f"more than {words.short_bytes(size)}", note


@register.simple_tag(takes_context=True)
def list_link(context: dict[str, Any], opts: Any) -> str:
    """Return the address of a model's list, with the filters that the reader came from."""
    kept = parse_qsl(context["request"].GET.get("_changelist_filters", ""), keep_blank_values=True)
    address = reverse(admin_urlname(opts, SafeString("changelist")))
    return f"{address}?{urlencode(kept)}" if kept else address


@register.filter
def choices_of(changelist: ChangeList, spec: Any) -> list[Any]:
    """Return the lines of a filter."""
    return list(spec.choices(changelist))


@register.filter
def numbered(lines: list[str]) -> list[tuple[int, str]]:
    """Return lines with their numbers."""
    return list(enumerate(lines, start=1))


@register.filter
def gb_hours(number: float) -> str:
    """Return GB-hours with as many decimals as say something."""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:,.3f}"


@register.filter
def intcomma(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}"


@register.filter
def wordlist(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


@register.filter
def item(mapping: Mapping[str, str], name: str) -> str:
    """Return one value of a mapping; empty where there is none."""
    return mapping.get(name, "")
