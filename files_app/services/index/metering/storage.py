"""Byte-hours of each day (UTC), from the times in the index, not sampled: exact to the microsecond.

What every holder has is kept as of an hour ago (`StoredLevel`), when whatever began before is committed. A
run takes that on by what came and went since, and writes the figures up to now: it reads nothing older. So
a day is final an hour after its end; until then no row that it is made of is removed
(`services/deletes/tombstones.py`).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.utils import timezone

from files_app.models import DailyUsage, MeteredUpTo, SettledDay, StoredLevel, StoredSpan
from files_app.services.index.metering.history import (
    DAY,
    Held,
    Holder,
    Stored,
    came_and_went,
    changes,
    day_of,
    microseconds,
    midnight,
    stored_at,
    stored_now,
)
from files_app.services.index.metering.names import Names

_GRACE = timedelta(hours=1)
_HOUR_US = 3_600_000_000
_LONGEST_SECONDS = 60.0
_ROWS_AT_ONCE = 500
_KEY = ("organization_id", "key_id", "account_id", "purpose")
_HELD = (*_KEY, "is_counted")
_LEVEL = ("bytes", "files", "late_hours", "late_us")
_FIGURES = ("byte_hours", "adopted_byte_hours")
_NAMES = ("organization_name", "key_name", "account_name")
_THE_ROW = 1
#: With more levels than this, days get those of whom nothing has changed once an hour, not at every run.
_FEW = 5_000


@dataclass(slots=True)
class _Level:
    """What is held. On the day at hand, bytes x (microseconds since midnight) - late has been stored."""

    bytes: int = 0
    files: int = 0
    late: int = 0

    def take(self, other: _Level) -> None:
        """Add what came, or take off what went."""
        self.bytes += other.bytes
        self.files += other.files
        self.late += other.late


_Levels = dict[Held, _Level]


def settle_usage() -> int:
    """Go on with the days that are not final and return how many. Stops after a minute: the next run goes on.

    Each step is one transaction: whatever ends it, levels are those of the moment that stands beside them.
    """
    ends, days = time.monotonic() + _LONGEST_SECONDS, 0
    now = timezone.now()
    _begin()
    is_done = False
    while not is_done and time.monotonic() < ends:
        is_done = _go_on(now)
        days += 1
    StoredSpan.objects.filter(ended_at__lt=midnight(first_open_day())).delete()
    return days


def write_stored(day: date, stored: Mapping[Holder, Stored]) -> None:
    """Write the byte-hours of some holders on a day, and leave the others'."""
    DailyUsage.objects.bulk_create(
        _rows(day, stored),
        batch_size=_ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["day", *_KEY],
        update_fields=[*_NAMES, *_FIGURES],
    )


def first_open_day() -> date:
    """Return the first day whose figures are not final."""
    if last := SettledDay.objects.aggregate(last=Max("day"))["last"]:
        return last + DAY  # type: ignore[no-any-return]
    first = DailyUsage.objects.aggregate(first=Min("day"))["first"]
    return first or day_of(timezone.now())


def held_by_account(limit: Callable[[QuerySet[Any]], QuerySet[Any]]) -> dict[int, tuple[int, int]]:
    """Return how many files and bytes are stored at each account now, of what `limit` leaves.

    That is the levels, and what came and went since; before the first run of `settle_usage` all files.
    """
    upto = MeteredUpTo.objects.first()
    if upto is None:
        rows = limit(stored_now()).values_list("account_id").annotate(Count("pk"), Sum("bytes"))
        return {pk: (files, size) for pk, files, size in rows}
    levels = limit(StoredLevel.objects.all()).values_list("account_id").annotate(Sum("files"), Sum("bytes"))
    found: Counter[tuple[int, str]] = Counter()
    for pk, files, size in levels:
        found.update({(pk, "files"): files, (pk, "bytes"): size})
    for part in came_and_went(upto.moment, timezone.now()):
        news = limit(part).values_list("account_id", "sign").annotate(Count("pk"), Sum("bytes"))
        for pk, sign, files, size in news:
            found.update({(pk, "files"): sign * files, (pk, "bytes"): sign * size})
    accounts = {pk for (pk, _), number in found.items() if number}
    return {pk: (found[pk, "files"], found[pk, "bytes"]) for pk in accounts}


@transaction.atomic
def mend(organization_id: int) -> bool:
    """Compare what is kept of an organization with its files, mend it, and return whether it was right."""
    upto = MeteredUpTo.objects.select_for_update().first()
    if upto is None:
        return True
    day = midnight(day_of(upto.moment))
    actual = _read(day, organization=organization_id)
    for what, size, files, moment in changes(day, upto.moment, organization=organization_id):
        _add(actual, {what: _Level(size, files, size * microseconds(day, moment))})
    kept = _kept([organization_id])
    nothing = _Level()
    wrong = [what for what in kept | actual if kept.get(what, nothing) != actual.get(what, nothing)]
    if wrong:
        _keep({what: actual.get(what, nothing) for what in wrong})
    return not wrong


@transaction.atomic
def _begin() -> None:
    """See to it that levels are kept; at the very first run they are read from all files."""
    if MeteredUpTo.objects.exists():
        return
    first = first_open_day()
    SettledDay.objects.get_or_create(day=first - DAY)  # nothing before is computed
    _, is_new = MeteredUpTo.objects.get_or_create(pk=_THE_ROW, defaults={"moment": midnight(first)})
    if is_new:
        _keep(_read(midnight(first)))


def _read(moment: datetime, *, organization: int | None = None) -> _Levels:
    """Return the levels of a midnight from the files."""
    found: _Levels = {}
    for what, size, files in stored_at(moment, organization=organization):
        _add(found, {what: _Level(size, files)})
    return found


@transaction.atomic
def _go_on(now: datetime) -> bool:
    """Take levels and figures on, past one midnight at the most, and return whether that is up to `now`.

    Levels go on to an hour before, figures all the way: what is not an hour old is looked at again.
    """
    upto = MeteredUpTo.objects.select_for_update().get()
    # Takes the row lock where the database has no SELECT FOR UPDATE.
    MeteredUpTo.objects.update(moment=upto.moment)
    day = day_of(upto.moment)
    until = min(now, midnight(day + DAY) + _GRACE)
    settled = max(upto.moment, until - _GRACE)
    if until <= upto.moment:
        return True
    settling, today, tomorrow = news = _news(upto.moment, until, settled)
    changed = {what.holder for part in news for what in part}
    is_listing = upto.listed_at is None or _hour(upto.listed_at) != _hour(until) or _are_few()
    levels = _kept(None if is_listing else {holder.organization_id for holder in changed})
    _add(levels, settling)
    _keep({what: levels[what] for what in settling})
    if settled == midnight(day + DAY):
        levels = levels if is_listing else _kept()
        _close(day, levels)
        day, today, tomorrow = day + DAY, tomorrow, {}
    upto.moment = settled
    if until == now:
        upto.listed_at = until if is_listing else upto.listed_at
        holders = None if is_listing else changed
        _add(levels, today)
        end = min(until, midnight(day + DAY))
        write_stored(day, _stored(levels, microseconds(midnight(day), end), holders))
        if until > end:
            begun = {what: replace(level, late=0) for what, level in levels.items()}
            _add(begun, tomorrow)
            write_stored(day + DAY, _stored(begun, microseconds(end, until), holders))
    upto.save()
    return until == now


def _news(begin: datetime, end: datetime, settled: datetime) -> tuple[_Levels, _Levels, _Levels]:
    """Return what came and went up to `settled`, up to midnight, and behind that: each beside its own day."""
    first = midnight(day_of(begin))
    found: tuple[_Levels, _Levels, _Levels] = {}, {}, {}
    for what, size, files, moment in changes(begin, end):
        number = bisect_left((settled, first + DAY), moment)
        late = size * microseconds(first + DAY if number == 2 else first, moment)
        _add(found[number], {what: _Level(size, files, late)})
    return found


def _close(day: date, levels: _Levels) -> None:
    """Write the figures of a day that is final, and begin the next."""
    write_stored(day, _stored(levels, microseconds(midnight(day), midnight(day + DAY)), None))
    SettledDay.objects.get_or_create(day=day)
    StoredLevel.objects.exclude(late_hours=0, late_us=0).update(late_hours=0, late_us=0)
    StoredLevel.objects.filter(bytes=0, files=0).delete()
    for what, level in list(levels.items()):
        if level.files or level.bytes:
            level.late = 0
        else:
            del levels[what]


def _add(levels: _Levels, others: _Levels) -> None:
    for what, other in others.items():
        levels.setdefault(what, _Level()).take(other)


def _stored(levels: _Levels, passed: int, holders: Collection[Holder] | None) -> Mapping[Holder, Stored]:
    """Return what was stored on a day of which so many microseconds have passed."""
    found: dict[Holder, Stored] = {}
    for (holder, is_counted), level in levels.items():
        if holders is None or holder in holders:
            counted, adopted = found.get(holder, Stored())
            amount = level.bytes * passed - level.late
            found[holder] = (
                Stored(counted + amount, adopted) if is_counted else Stored(counted, adopted + amount)
            )
    return found


def _kept(organizations: Collection[int] | None = None) -> _Levels:
    """Return the levels of some organizations, or of all."""
    rows = StoredLevel.objects.values_list(*_HELD, *_LEVEL)
    asked = sorted(organizations or ())
    starts = range(0, len(asked), _ROWS_AT_ONCE)
    some = [rows.filter(organization__in=asked[start : start + _ROWS_AT_ONCE]) for start in starts]
    found: _Levels = {}
    for *whose, is_counted, size, files, hours, us in chain(*([rows] if organizations is None else some)):
        found[Held(Holder(*whose), is_counted)] = _Level(size, files, hours * _HOUR_US + us)
    return found


def _keep(levels: _Levels) -> None:
    """Write levels down."""
    StoredLevel.objects.bulk_create(
        (_as_row(what, levels[what]) for what in sorted(levels)),
        batch_size=_ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=list(_HELD),
        update_fields=list(_LEVEL),
    )


def _as_row(what: Held, level: _Level) -> StoredLevel:
    hours, us = divmod(level.late, _HOUR_US)
    figures = dict(zip(_LEVEL, (level.bytes, level.files, hours, us), strict=True))
    return StoredLevel(**what.holder._asdict(), is_counted=what.is_counted, **figures)


def _are_few() -> bool:
    return StoredLevel.objects.values("pk")[: _FEW + 1].count() <= _FEW


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _rows(day: date, stored: Mapping[Holder, Stored]) -> Iterator[DailyUsage]:
    """Yield the rows in their order, as everybody writes them who writes several."""
    names = Names([holder[:3] for holder in stored])
    for holder in sorted(stored):
        yield DailyUsage(
            day=day,
            **holder._asdict(),
            **dict(zip(_NAMES, names.of(*holder[:3]), strict=True)),
            byte_hours=stored[holder].counted // _HOUR_US,
            adopted_byte_hours=stored[holder].adopted // _HOUR_US,
        )
