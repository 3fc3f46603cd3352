"""What organizations used in a month: figures, a chart of its days, a table by group, and all rows as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from files_app.admin.exports import EXPORT_FORMAT, USAGE, Row, export
from files_app.admin.filters import MAX_CHOICES, MAX_DIGITS
from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.admin.usage_charts import storage_chart, traffic_chart
from files_app.models import DailyUsage, Organization
from files_app.services.index.metering import report
from files_app.services.index.metering.storage import first_open_day

_MONTHS = 12
_SHOWN_ROWS = 200
_NOBODY: Final = {"key": "no key", "account": "no file", "purpose": "no file", "organization": "unknown"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of what the page can show: `query` leads there."""

    label: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table."""

    name: str
    below: str
    query: str
    used: report.Used


class _Asked:
    """What an address asks for; what makes no sense in it is as if it were not there."""

    def __init__(self, request: HttpRequest) -> None:
        self.days = report.month_named(request.GET.get("month", "")) or report.month_of(report.today())
        found = [group for group in report.GROUPS if group == request.GET.get("by")]
        self.organizations = list(reach_for(request).organizations().order_by("name")[:MAX_CHOICES])
        self.organization = self._organization(request)
        is_alone = self.organization is not None or len(self.organizations) == 1
        offered = [group for group in report.GROUPS if not (is_alone and group == "organization")]
        self.groups: list[report.Group] = [*offered[1:], "day"]
        self.by = found[0] if found and found[0] in self.groups else self.groups[0]

    def _organization(self, request: HttpRequest) -> Organization | None:
        text = request.GET.get("organization", "")
        if not text.isdecimal() or len(text) >= MAX_DIGITS:
            return None
        return reach_for(request).organizations().filter(pk=int(text)).first()

    def query(self, **instead: object) -> str:
        """Return the address of the page with something else in it."""
        asked: dict[str, object] = {"month": f"{self.days.first:%Y-%m}", "by": self.by}
        asked |= {"organization": self.organization.pk} if self.organization else {}
        return "?" + urlencode({name: value for name, value in (asked | instead).items() if value})


def usage_page(request: HttpRequest) -> HttpResponseBase:
    """Show the usage of a month, of what is in sight; with `format`, answer with its rows as a file."""
    if not request.user.has_perm("files_app.view_organization"):
        raise PermissionDenied
    asked = _Asked(request)
    rows = reach_for(request).limit(report.within(asked.days))
    if asked.organization:
        rows = rows.filter(organization=asked.organization)
    if kind := request.GET.get(EXPORT_FORMAT, ""):
        ordered = rows.order_by("day", "organization_name", "key_name", "account_name", "purpose", "pk")
        return export(request, ordered, as_row, of=USAGE, kind=kind)
    by_day = report.added_up(rows, ["day"])
    lines, left_out = _lines(asked, rows)
    context = {
        "asked": asked,
        "title_of_month": f"{asked.days.first:%B %Y}",
        "months": list(_months(asked)),
        "organizations": list(_organizations(asked)),
        "tabs": [Choice(f"By {group}", asked.query(by=group), group == asked.by) for group in asked.groups],
        "total": report.sum_of(by_day),
        "storage": storage_chart(asked.days, by_day),
        "traffic": traffic_chart(asked.days, by_day),
        "lines": lines,
        "left_out": left_out,
        "export": asked.query(),
        "is_final": first_open_day() > asked.days.last,
        "is_empty": not by_day,
    }
    return page(request, "usage.html", "Usage", context)


def as_row(row: DailyUsage) -> Row:
    """Return a row for an export."""
    return {
        "day": row.day.isoformat(),
        "organization": row.organization_name,
        "key": row.key_name,
        "account": row.account_name,
        "purpose": row.purpose,
        "gb_hours": row.byte_hours / 10**9,
        "adopted_gb_hours": row.adopted_byte_hours / 10**9,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "requests": row.requests,
        "files": row.files,
    }


def _lines(asked: _Asked, rows: QuerySet[DailyUsage]) -> tuple[list[Line], int]:
    """Return the lines of the table, and how many are left out.

    What costs most stands on top, days stand in their order.
    """
    if asked.by == "day":
        return list(_named(asked, report.added_up(rows, ["day"]))), 0
    used, left_out = report.largest(rows, _groups(asked), most=_SHOWN_ROWS)
    return list(_named(asked, used)), left_out


def _groups(asked: _Asked) -> list[report.Group]:
    return [asked.by, "organization"] if _is_of_several(asked) else [asked.by]


def _is_of_several(asked: _Asked) -> bool:
    """Whether lines of different organizations may bear one name."""
    return asked.by in {"key", "account"} and "organization" in asked.groups


def _named(asked: _Asked, used: Sequence[report.Used]) -> Iterator[Line]:
    pks = {row.name: row.pk for row in asked.organizations} if asked.by == "organization" else {}
    for each in used:
        name = f"{each.day:%a %d %b}" if each.day else getattr(each, asked.by) or _NOBODY[asked.by]
        pk = pks.get(name)
        query = asked.query(organization=pk, by="key") if pk else ""
        yield Line(name, (each.organization or "") if _is_of_several(asked) else "", query, each)


def _months(asked: _Asked) -> Iterator[Choice]:
    last = report.today()
    for _ in range(_MONTHS):
        yield _month(asked, last)
        last = last.replace(day=1) - timedelta(days=1)
    if asked.days.first < last.replace(day=1):
        yield _month(asked, asked.days.first)


def _month(asked: _Asked, day: date) -> Choice:
    is_chosen = (day.year, day.month) == (asked.days.first.year, asked.days.first.month)
    return Choice(f"{day:%B %Y}", asked.query(month=f"{day:%Y-%m}"), is_chosen)


def _organizations(asked: _Asked) -> Sequence[Choice]:
    if len(asked.organizations) < 2:
        return []
    every = Choice("All", asked.query(organization="", by=""), asked.organization is None)
    return [
        every,
        *(
            Choice(row.name, asked.query(organization=row.pk), row == asked.organization)
            for row in asked.organizations
        ),
    ]
