"""The geometry of the charts, which the templates draw as SVG: no script, nothing for a CSP to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from math import ceil, floor, log10

from django.template.defaultfilters import pluralize

from files_app.services.operations.overview import Day, UsageDay
from files_app.words import short_bytes

WIDTH, HEIGHT = 1080, 210
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 12, 26


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the chart with its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle with what it says."""

    x: float
    y: float
    width: float
    height: float
    series: str


@dataclass(frozen=True, slots=True)
class Column:
    """One day: its bars, and the area that shows its numbers on hover."""

    x: float
    width: float
    bars: tuple[Bar, ...]
    title: str
    label: str
    query: str

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of days."""

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    summary: str
    line: str = ""
    area: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    baseline: int = HEIGHT - BOTTOM
    left: int = LEFT

    @property
    def right(self) -> int:
        """Where the plot ends."""
        return self.width - RIGHT


def activity_chart(days: Sequence[Day]) -> Chart:
    """Return bars of uploads, downloads and failures of each day."""
    top = nice_ceiling(max((max(day.uploads + day.failures, day.downloads) for day in days), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    columns = tuple(_column(number, day, step, top, len(days)) for number, day in enumerate(days))
    uploads, downloads = sum(day.uploads for day in days), sum(day.downloads for day in days)
    summary = f"{_counted(uploads, 'upload')} and {_counted(downloads, 'download')} in {len(days)} days"
    return Chart(columns, _ticks(top, lambda value: f"{value:,.0f}"), summary)


def _column(number: int, day: Day, step: float, top: float, count: int) -> Column:
    x, thickness = LEFT + number * step, step * 0.34
    first, second = x + step * 0.15, x + step * 0.51
    bars = (
        *_bar(first, 0, day.uploads, thickness, top, "uploads"),
        *_bar(first, day.uploads, day.failures, thickness, top, "failures"),
        *_bar(second, 0, day.downloads, thickness, top, "downloads"),
    )
    numbers = (
        f"{_counted(day.uploads, 'upload')}, {_counted(day.downloads, 'download')}, {day.failures:,} failed"
    )
    label = _label(number, count, day.date)
    title = f"{day.date:%a %d %b}: {numbers}"
    return Column(round(x, 2), round(step, 2), bars, title, label, _day_query(day.date))


def _bar(x: float, below: int, value: float, width: float, top: float, series: str) -> Iterator[Bar]:
    """Yield the bar of a value that stands on `below`; none for nothing."""
    if value:
        height = max(2.0, value / top * _plot_height())
        foot = HEIGHT - BOTTOM - below / top * _plot_height()
        yield Bar(round(x, 2), round(foot - height, 2), round(width, 2), round(height, 2), series)


@dataclass(frozen=True, slots=True)
class DayOfBars:
    """A day with its bars, each a value and the series that it is of; `says` is shown on hover."""

    date: date
    bars: Sequence[tuple[float, str]]
    says: str


def bar_chart(days: Sequence[DayOfBars], top: float, label: Callable[[float], str], summary: str) -> Chart:
    """Return a chart of bars side by side. top: the value of the uppermost line; label: words of a line."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    columns = []
    for number, day in enumerate(days):
        x, thickness = LEFT + number * step, step * 0.68 / len(day.bars)
        bars = (
            _bar(x + step * 0.16 + place * thickness, 0, value, thickness * 0.97, top, series)
            for place, (value, series) in enumerate(day.bars)
        )
        title = f"{day.date:%a %d %b}: {day.says}"
        shown = _label(number, len(days), day.date)
        query = _day_query(day.date)
        columns.append(Column(round(x, 2), round(step, 2), tuple(chain(*bars)), title, shown, query))
    return Chart(tuple(columns), _ticks(top, label), summary)


def usage_chart(history: Sequence[UsageDay]) -> Chart:
    """Return a line of what an organization held on each day."""
    top = nice_size(max((day.used_bytes for day in history), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(history))
    columns, points = [], []
    for number, day in enumerate(history):
        x = LEFT + number * step
        y = HEIGHT - BOTTOM - (day.used_bytes / top * _plot_height() if top else 0)
        points.append(f"{x + step / 2:.2f},{y:.2f}")
        title = f"{day.date:%a %d %b}: {short_bytes(day.used_bytes)}"
        label = _label(number, len(history), day.date)
        columns.append(Column(round(x, 2), round(step, 2), (), title, label, _day_query(day.date)))
    line, base = " ".join(points), HEIGHT - BOTTOM
    first, last = LEFT + step / 2, WIDTH - RIGHT - step / 2
    area = f"{first:.2f},{base} {line} {last:.2f},{base}"
    now = short_bytes(history[-1].used_bytes) if history else "nothing"
    return Chart(
        tuple(columns), _ticks(top, lambda value: short_bytes(round(value))), f"{now} now", line, area
    )


def nice_ceiling(value: float) -> float:
    """Return the next number of which a quarter is round, at least 4."""
    for smallest in (4, 8):
        if value <= smallest:
            return smallest
    power = float(10 ** max(1, floor(log10(value))))
    return next(factor * power for factor in (1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if factor * power >= value)


def nice_size(size: int) -> float:
    """Return the next size that is round in its unit; 0 for nothing."""
    unit = 1
    while size // unit >= 1024:
        unit *= 1024
    return nice_ceiling(size / unit) * unit if size else 0.0


def _ticks(top: float, label: Callable[[float], str]) -> tuple[Tick, ...]:
    parts = 4 if top else 0
    return tuple(
        Tick(round(HEIGHT - BOTTOM - _plot_height() * part / parts, 2), label(top * part / parts))
        for part in range(1, parts + 1)
    )


def _plot_height() -> int:
    return HEIGHT - TOP - BOTTOM


def _label(number: int, count: int, day: date) -> str:
    """Return the date under every fifth column, counted from today."""
    return f"{day:%d %b}" if (count - 1 - number) % ceil(count / 6) == 0 else ""


def _day_query(day: date) -> str:
    return f"created_at__year={day.year}&created_at__month={day.month}&created_at__day={day.day}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{pluralize(number)}"
