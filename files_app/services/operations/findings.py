"""What `doctor` finds: one line each, and how bad it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SHOWN_NAMES = 5


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `fix` says what to do; empty where nothing has to be done."""

    area: str
    level: Level
    detail: str
    fix: str = ""


def ok(area: str, detail: str) -> Finding:
    return Finding(area, Level.OK, detail)


def warning(area: str, detail: str, fix: str) -> Finding:
    return Finding(area, Level.WARNING, detail, fix)


def problem(area: str, detail: str, fix: str) -> Finding:
    return Finding(area, Level.PROBLEM, detail, fix)


def shortened(names: Sequence[str], number: int | None = None) -> str:
    """Return the first names, and how many more there are. number: of all, where these are the first."""
    left_out = (len(names) if number is None else number) - SHOWN_NAMES
    more = f" and {left_out} more" if left_out > 0 else ""
    return ", ".join(names[:SHOWN_NAMES]) + more
