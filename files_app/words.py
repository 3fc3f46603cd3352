"""How sizes and moments are said, on the API, the command line and the admin alike."""

from __future__ import annotations

import re
from datetime import datetime

from django.utils import timezone

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL_UNITS = ("KB", "MB", "GB", "TB", "PB")
_STEPS = ((60, "s"), (3_600, "min"), (86_400, "h"), (86_400 * 60, "d"), (86_400 * 730, "months"))
_SECONDS_IN = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "months": 30.44 * 86_400, "years": 365.25 * 86_400}


def short_bytes(size: int) -> str:
    """Return a size for people: `1.4 MiB`."""
    value, unit = float(size), "B"
    for bigger in _UNITS:
        if abs(value) < 1024:
            break
        value, unit = value / 1024, bigger
    if unit == "B":
        return f"{size:,} B"
    return f"{value:.3g} {unit}" if abs(value) < 999.5 else f"{value:,.0f} {unit}"


def readable_bytes(size: int) -> str:
    """Return a size exactly and for people: `536,870,912 bytes (512 MiB)`."""
    return f"{size:,} bytes" if abs(size) < 1024 else f"{size:,} bytes ({short_bytes(size)})"


def readable_seconds(seconds: int) -> str:
    """Return a duration exactly and for people: `1,209,600 s (14 d)`."""
    unit = next((unit for unit in ("d", "h", "min") if seconds % _SECONDS_IN[unit] == 0), "s")
    return f"{seconds:,} s" + ("" if unit == "s" else f" ({seconds / _SECONDS_IN[unit]:.0f} {unit})")


_LETTERS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([1-9][0-9]{0,9})([smhdw])")


def duration(seconds: int) -> str:
    """Return a duration as people enter it, exactly: `90d`, `36h`."""
    letter = next(letter for letter in ("d", "h", "m", "s") if seconds % _LETTERS[letter] == 0)
    return f"{seconds // _LETTERS[letter]}{letter}"


def seconds_in(text: str) -> int | None:
    """Return how many seconds `90d`, `36h` or `2w` are; None where the text is no such thing."""
    found = _DURATION.fullmatch(text.strip())
    return None if found is None else int(found[1]) * _LETTERS[found[2]]


def exact_bytes(size: int) -> str:
    """Return a size exactly, in the unit in which it is shortest: `100 GiB`, `10 MB`, `1001 bytes`."""
    binary, decimal = _largest(size, 1024, _UNITS), _largest(size, 1000, _DECIMAL_UNITS)
    value, unit = min(binary, decimal, key=lambda found: found[0])
    return f"{value} {unit}"


_SIZE = re.compile(r"\s*([0-9]{1,19}(?:\.[0-9]{1,9})?)\s*(B|[KMGTP]i?B?)?\s*", re.IGNORECASE)
_POWERS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def size_in(text: str) -> int | None:
    """Return how many bytes `20 GB`, `500 MiB` or `10 M` (binary) are; None where the text is no size."""
    found = _SIZE.fullmatch(text.replace(",", "").removesuffix("ytes"))
    if found is None:
        return None
    unit = (found[2] or "").upper()
    step = 1000 if len(unit) == 2 and unit.endswith("B") else 1024
    return int(float(found[1]) * step ** _POWERS[unit[:1]] + 0.5)


def _largest(size: int, step: int, units: tuple[str, ...]) -> tuple[int, str]:
    unit = "bytes"
    for bigger in units:
        if size == 0 or size % step:
            break
        size, unit = size // step, bigger
    return size, unit


def age(moment: datetime | None) -> str:
    """Return how far away a moment is: `3 min ago`, `in 2 d`; `never` for None."""
    if moment is None:
        return "never"
    seconds = (timezone.now() - moment).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "now"
    unit = next((unit for limit, unit in _STEPS if distance < limit), "years")
    text = f"{distance / _SECONDS_IN[unit]:.0f} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"
