"""The charts of a month's usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from files_app.admin.charts import Chart, DayOfBars, bar_chart, nice_ceiling, nice_size
from files_app.services.index.metering.report import Days, Used
from files_app.words import short_bytes


def storage_chart(days: Days, used: Iterable[Used]) -> Chart:
    """Return bars of the GB-hours of each day of a month."""
    found = {each.day: each.gb_hours for each in used}
    bars = [
        DayOfBars(day, [(found.get(day, 0.0), "uploads")], f"{found.get(day, 0.0):,.3f} GB-hours")
        for day in _each(days)
    ]
    top = _nice_hours(max(found.values(), default=0.0))
    return bar_chart(bars, top, lambda value: f"{value:,.6g}", f"{sum(found.values()):,.3f} GB-hours")


def traffic_chart(days: Days, used: Iterable[Used]) -> Chart:
    """Return bars of what came in and what went out on each day of a month."""
    found = {each.day: (each.bytes_in, each.bytes_out) for each in used}
    bars = []
    for day in _each(days):
        came, went = found.get(day, (0, 0))
        bars.append(DayOfBars(day, [(came, "uploads"), (went, "downloads")], _traffic(came, went)))
    top = nice_size(max((max(each) for each in found.values()), default=0))
    came, went = (sum(each[place] for each in found.values()) for place in (0, 1))
    return bar_chart(bars, top, lambda value: short_bytes(round(value)), _traffic(came, went))


def _traffic(came: int, went: int) -> str:
    return f"{short_bytes(came)} in, {short_bytes(went)} out"


def _each(days: Days) -> Iterator[date]:
    return (days.first + timedelta(days=number) for number in range(days.number))


def _nice_hours(value: float) -> float:
    """Return the next round number of GB-hours, of which there may be less than one."""
    unit = 1.0
    while 0 < value / unit < 1:
        unit /= 1000
    return nice_ceiling(value / unit) * unit if value else 0.0
