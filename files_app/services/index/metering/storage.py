"""Byte-hours of each day (UTC), computed from the times in the index, not sampled: exact to the microsecond.

A day can be computed as often as one likes. It is final an hour after its end, when whatever began before is
committed; until then no row that it is made of is removed (`services/deletes/tombstones.py`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from files_app.models import DailyUsage, File, FileState, Organization, SettledDay, StoredSpan
from files_app.models.files import FileQuerySet
from files_app.services.index.metering.names import Names

_GRACE = timedelta(hours=1)
_DAY = timedelta(days=1)
_HOUR_US = 3_600_000_000
_LONGEST_SECONDS = 60.0
_ROWS_AT_ONCE = 500
_KEY = ("organization_id", "key_id", "account_id", "purpose")
_FIGURES = ("byte_hours", "adopted_byte_hours")
_NAMES = ("organization_name", "key_name", "account_name")
_STORED = Q(state=FileState.AVAILABLE) | Q(state=FileState.TRASHED, is_counted_in_trash=True)


class Holder(NamedTuple):
    """Whose bytes: key_id is 0 for what no key uploaded."""

    organization_id: int
    key_id: int
    account_id: int
    purpose: str


class Stored(NamedTuple):
    """Bytes times microseconds, of what counts against the quota and of what was made elsewhere."""

    counted: int = 0
    adopted: int = 0


def settle_usage() -> int:
    """Compute the days that are not final and return how many. Stops after a minute: the next run goes on."""
    ends, days = time.monotonic() + _LONGEST_SECONDS, 0
    now = timezone.now()
    day = first_open_day()
    SettledDay.objects.get_or_create(day=day - _DAY)  # at the very first run: nothing before is computed
    while day <= now.astimezone(UTC).date() and time.monotonic() < ends:
        settle_day(day, now)
        if now >= midnight(day + _DAY) + _GRACE:
            SettledDay.objects.get_or_create(day=day)
        day += _DAY
        days += 1
    StoredSpan.objects.filter(ended_at__lt=midnight(first_open_day())).delete()
    return days


def settle_day(day: date, now: datetime) -> None:
    """Write the byte-hours of a day, up to `now` where it is not over. Safe to repeat."""
    stored = stored_on(day, now)
    with transaction.atomic():
        _forget_others(day, stored)
        write_stored(day, stored)


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
        return last + _DAY  # type: ignore[no-any-return]
    first = DailyUsage.objects.aggregate(first=Min("day"))["first"]
    return first or timezone.now().astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """Return the first moment of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def stored_on(day: date, now: datetime) -> Mapping[Holder, Stored]:
    """Return what was stored on a day, up to `now` where it is not over."""
    begin = midnight(day)
    end = min(begin + _DAY, now)
    found: defaultdict[Holder, Stored] = defaultdict(Stored)
    if end <= begin:
        return found
    for *whose, is_counted, size in _all_day(begin, end):
        _add(found, whose, is_counted, size * _microseconds(begin, end))
    for *whose, is_counted, size, began, ended in _part_of_day(begin, end):
        until = end if ended is None else min(ended, end)
        _add(found, whose, is_counted, size * _microseconds(max(began, begin), until))
    return found


def reopen(files: FileQuerySet, *, origin: FileState, **values: Any) -> int:
    """Make files of `origin` available again, as `to` does, whose bytes may not have counted meanwhile.

    Inside the caller's transaction; the rows are locked.
    """
    left = files.filter(state=origin).exclude(_STORED).select_for_update(of=("self",))
    spans = [
        StoredSpan(
            organization_id=file.organization_id,
            key_id=file.api_key_id or 0,
            account_id=file.account_id,
            purpose=file.purpose,
            bytes=file.bytes,
            is_counted=file.is_counted,
            began_at=file.stored_from or file.indexed_at,
            ended_at=file.stored_until or file.state_changed_at,
        )
        for file in left
    ]
    StoredSpan.objects.bulk_create(spans)
    anew = {"stored_from": timezone.now(), "stored_until": None} if spans else {}
    return files.to(FileState.AVAILABLE, origin=origin, **anew, **values)


def _lives() -> QuerySet[Any]:
    """Return files that were stored at some time, with `began` and, where they are gone, `ended`."""
    rows = File.objects.exclude(state__in=[FileState.UPLOADING, FileState.FAILED]).filter(is_withheld=False)
    return rows.order_by().annotate(
        key_id=Coalesce("api_key_id", 0),
        began=Coalesce("stored_from", "indexed_at"),
        ended=Coalesce("stored_until", "state_changed_at"),
    )


def _all_day(begin: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield who held how many bytes all the time: the database adds up what nearly all files are."""
    rows = _lives().filter(_STORED | Q(ended__gte=end), began__lte=begin)
    yield from rows.values_list(*_KEY, "is_counted").annotate(Sum("bytes")).iterator()


def _part_of_day(begin: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the files that came or went, each with its times; the last is None where it has not gone."""
    what = (*_KEY, "is_counted", "bytes")
    lives = _lives()
    came = lives.filter(_STORED, began__gt=begin, began__lt=end).values_list(*what, "began")
    yield from ((*row, None) for row in came.iterator())
    gone = lives.exclude(_STORED).filter(ended__gt=begin, began__lt=end)
    gone = gone.filter(Q(began__gt=begin) | Q(ended__lt=end))
    yield from gone.values_list(*what, "began", "ended").iterator()
    earlier = StoredSpan.objects.filter(began_at__lt=end, ended_at__gt=begin)
    yield from earlier.values_list(*what, "began_at", "ended_at").iterator()


def _add(found: defaultdict[Holder, Stored], whose: Iterable[Any], is_counted: bool, amount: int) -> None:
    holder = Holder(*whose)
    counted, adopted = found[holder]
    found[holder] = Stored(counted + amount, adopted) if is_counted else Stored(counted, adopted + amount)


def _microseconds(begin: datetime, end: datetime) -> int:
    return (end - begin) // timedelta(microseconds=1)


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


def _forget_others(day: date, stored: Mapping[Holder, Stored]) -> None:
    """Take the byte-hours off rows whose files are another's now; an organization that is gone keeps its."""
    theirs = Organization.objects.filter(pk=OuterRef("organization"))
    rows = DailyUsage.objects.filter(Exists(theirs), day=day).exclude(byte_hours=0, adopted_byte_hours=0)
    gone = [pk for pk, *key in rows.values_list("pk", *_KEY) if Holder(*key) not in stored]
    DailyUsage.objects.filter(pk__in=gone).update(byte_hours=0, adopted_byte_hours=0)
