"""Counts of this process. Others may have counted too: what they tell is added."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from files_app.services.tenants.counting.counts import WINDOW_SECONDS, Demand, Standing, standing

_MOST_WINDOWS = 100_000


@dataclass(slots=True)
class _Window:
    """ends: by `time.monotonic`. told: of all processes when they last settled. untold: of ours since."""

    ends: float
    told: int = 0
    untold: int = 0


@dataclass(frozen=True, slots=True)
class Untold:
    """What the others have not heard of yet."""

    window: _Window
    amount: int


class LocalCounts:
    """Windows by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""
        now = time.monotonic()
        with self._lock:
            windows = [self._window(demand.limit.name, now) for demand in demands]
            standings = [
                standing(demand, before=window.told + window.untold, seconds=window.ends - now)
                for demand, window in zip(demands, windows, strict=True)
            ]
            if not any(each.is_refused for each in standings):
                for demand, window in zip(demands, windows, strict=True):
                    window.untold += demand.amount
        return standings

    def untold(self) -> Mapping[str, Untold]:
        """Return what was counted here and nobody else knows."""
        now = time.monotonic()
        with self._lock:
            self._forget_ended(now)
            return {
                name: Untold(window, window.untold) for name, window in self._windows.items() if window.untold
            }

    def learn(self, told: Mapping[str, Untold], counted: Mapping[str, tuple[int, float]]) -> None:
        """Take over what all processes have counted, ours included, by name: the number, seconds left."""
        now = time.monotonic()
        with self._lock:
            for name, (number, seconds) in counted.items():
                window = told[name].window
                window.untold -= told[name].amount
                window.told, window.ends = number, now + seconds

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._windows.clear()

    def _window(self, name: str, now: float) -> _Window:
        window = self._windows.get(name)
        if window is None or window.ends <= now:
            if len(self._windows) >= _MOST_WINDOWS:
                self._forget_ended(now)
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows.clear()
            window = self._windows[name] = _Window(now + WINDOW_SECONDS)
        return window

    def _forget_ended(self, now: float) -> None:
        for name in [name for name, window in self._windows.items() if window.ends <= now]:
            del self._windows[name]
