"""What was used, added up by day, organization, key, account or purpose."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, Final, Literal

from django.db.models import Max, QuerySet, Sum
from django.utils import timezone

from files_app.models import DailyUsage
from files_app.services.index.metering.names import Names

Group = Literal["day", "organization", "key", "account", "purpose"]
#: In this order rows are sorted, and columns stand.
GROUPS: Final[tuple[Group, ...]] = ("day", "organization", "key", "account", "purpose")
_COLUMNS: Final = {
    "day": "day",
    "organization": "organization_id",
    "key": "key_id",
    "account": "account_id",
    "purpose": "purpose",
}
NUMBERS: Final = ("byte_hours", "adopted_byte_hours", "bytes_in", "bytes_out", "requests", "files")
_NAMED: Final = ("organization", "key", "account")
_SUMS: Final = {f"sum_of_{name}": Sum(name) for name in NUMBERS}
_MONTH = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])")
_BYTES_OF_A_GB = 10**9


@dataclass(frozen=True, slots=True)
class Days:
    """Days from the first to the last, both included."""

    first: date
    last: date

    @property
    def number(self) -> int:
        """How many; below 1 where the last is before the first."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Used:
    """Figures of a group. What it is not grouped by is None; empty stands for what has no key or account."""

    day: date | None
    organization: str | None
    key: str | None
    account: str | None
    purpose: str | None
    byte_hours: int
    adopted_byte_hours: int
    bytes_in: int
    bytes_out: int
    requests: int
    files: int

    @property
    def gb_hours(self) -> float:
        """What counted against the quota, in 10^9 bytes times hours."""
        return self.byte_hours / _BYTES_OF_A_GB

    @property
    def adopted_gb_hours(self) -> float:
        """The same of files that were made elsewhere."""
        return self.adopted_byte_hours / _BYTES_OF_A_GB


def today() -> date:
    """Return the day that it is (UTC)."""
    return timezone.now().astimezone(UTC).date()


def month_of(day: date) -> Days:
    """Return the month in which a day is."""
    _, last = monthrange(day.year, day.month)
    return Days(day.replace(day=1), day.replace(day=last))


def month_named(text: str) -> Days | None:
    """Return the month that is written as `2026-11`; None for anything else."""
    found = _MONTH.fullmatch(text)
    return month_of(date(int(found[1]), int(found[2]), 1)) if found else None


def within(days: Days) -> QuerySet[DailyUsage]:
    """Return the rows of these days, of all organizations."""
    return DailyUsage.objects.filter(day__range=(days.first, days.last))


def added_up(rows: QuerySet[DailyUsage], by: Collection[Group], *, most: int | None = None) -> list[Used]:
    """Return sums of rows, at most so many, in the order of what they are grouped by."""
    found, columns = _grouped(rows, by)
    return list(_named(list(found.order_by(*columns)[:most]), by))


def largest(rows: QuerySet[DailyUsage], by: Collection[Group], *, most: int) -> tuple[list[Used], int]:
    """Return the sums that cost most, at most so many, and how many groups are left out."""
    found, columns = _grouped(rows, by)
    order = ("sum_of_byte_hours", "sum_of_bytes_out", "sum_of_requests")
    used = list(_named(list(found.order_by(*(f"-{name}" for name in order), *columns)[:most]), by))
    if len(used) < most:
        return used, 0
    return used, rows.order_by().values(*columns).distinct().count() - most


def total(rows: QuerySet[DailyUsage]) -> Used:
    """Return the sum of rows."""
    sums = rows.aggregate(**_SUMS)
    return next(_named([{name: number or 0 for name, number in sums.items()}], ()))


def sum_of(used: Iterable[Used]) -> Used:
    """Return the sum of sums."""
    each = list(used)
    numbers = {name: sum(getattr(one, name) for one in each) for name in NUMBERS}
    return Used(day=None, organization=None, key=None, account=None, purpose=None, **numbers)


def _grouped(
    rows: QuerySet[DailyUsage], by: Collection[Group]
) -> tuple[QuerySet[DailyUsage, dict[str, Any]], list[str]]:
    """Return the sums of each group, in no order, and the columns that rows are grouped by."""
    groups = [group for group in GROUPS if group in by]
    columns = [_COLUMNS[group] for group in groups]
    names = {f"{group}_called": Max(f"{group}_name") for group in groups if group in _NAMED}
    return rows.order_by().values(*columns).annotate(**names, **_SUMS), columns


def _named(found: list[dict[str, Any]], groups: Collection[Group]) -> Iterator[Used]:
    """Yield the sums under the names of now, or, of what is gone, under the last one that is known."""
    names = Names([_ids(row) for row in found])
    for row in found:
        now = dict(zip(_NAMED, names.of(*_ids(row)), strict=True))
        called = {group: now[group] or row[f"{group}_called"] for group in _NAMED if group in groups}
        numbers: dict[str, Any] = {name: int(row[f"sum_of_{name}"]) for name in NUMBERS}
        shown: dict[str, Any] = {group: called.get(group, row.get(group)) for group in GROUPS}
        yield Used(**shown, **numbers)


def _ids(row: dict[str, Any]) -> tuple[int, int, int]:
    return row.get("organization_id", 0), row.get("key_id", 0), row.get("account_id", 0)
