"""When bytes came and went, as the index knows it. Whoever asks for a time reads what came or went in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from files_app.models import File, FileState, StoredSpan
from files_app.models.files import CAME_OTHERWISE, CEASED_AT, GONE_STATES

DAY = timedelta(days=1)
#: Files that count now, as far as they are not withheld.
STORED = Q(state=FileState.AVAILABLE) | Q(state=FileState.TRASHED, is_counted_in_trash=True)
_KEY = ("organization_id", "key_id", "account_id", "purpose")


class Holder(NamedTuple):
    """Whose bytes: key_id is 0 for what no key uploaded."""

    organization_id: int
    key_id: int
    account_id: int
    purpose: str


class Held(NamedTuple):
    """What a holder has that counts against the quota, or that was made elsewhere."""

    holder: Holder
    is_counted: bool


class Change(NamedTuple):
    """A file that came, or went: then its bytes and the 1 are negative."""

    what: Held
    bytes: int
    files: int
    moment: datetime


class Stored(NamedTuple):
    """Bytes times microseconds, of what counts against the quota and of what was made elsewhere."""

    counted: int = 0
    adopted: int = 0


def midnight(day: date) -> datetime:
    """Return the first moment of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def day_of(moment: datetime) -> date:
    """Return the day (UTC) in which a moment is."""
    return moment.astimezone(UTC).date()


def microseconds(begin: datetime, end: datetime) -> int:
    """Return how many microseconds lie between two moments."""
    return (end - begin) // timedelta(microseconds=1)


def changes(begin: datetime, end: datetime, *, organization: int | None = None) -> Iterator[Change]:
    """Yield what came and went after `begin` up to `end`, in no order, of all organizations or of one.

    In one statement: a file that comes back meanwhile is seen as it was, or as it is, and never half.
    """
    columns = (*_KEY, "is_counted", "bytes", "moment", "sign")
    parts = [part.values_list(*columns) for part in came_and_went(begin, end, organization=organization)]
    for *whose, is_counted, size, moment, sign in parts[0].union(*parts[1:], all=True).iterator():
        yield Change(Held(Holder(*whose), is_counted), sign * size, sign, moment)


def came_and_went(
    begin: datetime, end: datetime, *, organization: int | None = None
) -> tuple[QuerySet[Any], ...]:
    """Return files and spans that began or ceased to count after `begin` up to `end`.

    With `moment`, when it was, and `sign`, which is -1 of those that ceased; each reads an index of its own.
    """
    files, spans = _lives(), StoredSpan.objects.order_by()
    if organization is not None:
        files, spans = (rows.filter(organization=organization) for rows in (files, spans))
    came, went = Value(1), Value(-1)
    usual = Q(stored_from=F("indexed_at")) | Q(stored_from=None)
    uploaded = files.filter(usual, indexed_at__gt=begin, indexed_at__lte=end)
    others = files.filter(CAME_OTHERWISE, stored_from__gt=begin, stored_from__lte=end)
    gone = files.filter(state__in=GONE_STATES).exclude(STORED).filter(ended__gt=begin, ended__lte=end)
    earlier = spans.filter(began_at__gt=begin, began_at__lte=end, ended_at__gt=begin)
    over = spans.filter(ended_at__gt=begin, ended_at__lte=end)
    return (
        uploaded.annotate(moment=F("indexed_at"), sign=came),
        others.annotate(moment=F("stored_from"), sign=came),
        gone.annotate(moment=F("ended"), sign=went),
        earlier.annotate(moment=F("began_at"), sign=came),
        over.annotate(moment=F("ended_at"), sign=went),
    )


def stored_at(moment: datetime, *, organization: int | None = None) -> Iterator[tuple[Held, int, int]]:
    """Yield what was held at a moment, with bytes and files: this reads every file, or all of one's.

    What is held may come several times.
    """
    files, spans = _lives(), StoredSpan.objects.order_by()
    if organization is not None:
        files, spans = (rows.filter(organization=organization) for rows in (files, spans))
    there = files.filter(STORED | Q(ended__gt=moment), began__lte=moment)
    earlier = spans.filter(began_at__lte=moment, ended_at__gt=moment)
    sums = [
        rows.values_list(*_KEY, "is_counted").annotate(Sum("bytes"), Count("pk")) for rows in (there, earlier)
    ]
    for *whose, is_counted, size, number in sums[0].union(sums[1], all=True).iterator():
        yield Held(Holder(*whose), is_counted), size, number


def stored_now() -> QuerySet[Any]:
    """Return the files that are stored now: however many they are."""
    return _lives().filter(STORED)


def stored_on(day: date, now: datetime) -> Mapping[Holder, Stored]:
    """Return what was stored on a day, up to `now` where it is not over: this reads every file."""
    begin = midnight(day)
    end = min(begin + DAY, now)
    found: defaultdict[Holder, Stored] = defaultdict(Stored)
    if end <= begin:
        return found
    for what, size, _ in stored_at(begin):
        _add(found, what, size * microseconds(begin, end))
    for change in changes(begin, end):
        _add(found, change.what, change.bytes * microseconds(change.moment, end))
    return found


def _lives() -> QuerySet[Any]:
    """Return files that were stored at some time, with `began` and, where they are gone, `ended`."""
    rows = File.objects.exclude(state__in=[FileState.UPLOADING, FileState.FAILED]).filter(is_withheld=False)
    return rows.order_by().annotate(
        key_id=Coalesce("api_key_id", 0), began=Coalesce("stored_from", "indexed_at"), ended=CEASED_AT
    )


def _add(found: defaultdict[Holder, Stored], what: Held, amount: int) -> None:
    counted, adopted = found[what.holder]
    found[what.holder] = (
        Stored(counted + amount, adopted) if what.is_counted else Stored(counted, adopted + amount)
    )
