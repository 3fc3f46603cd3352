"""Stops requests at a scripted point until a test lets them go on."""

from __future__ import annotations

import threading

PATIENCE_SECONDS = 30.0


class Gate:
    """Requests wait here; a test waits until they do, then releases them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0
        self._releases = 0
        self._is_open_for_good = False

    def hold(self) -> None:
        """Block until the next `release`, or return at once when the gate was opened for good."""
        with self._changed:
            seen = self._releases
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._releases > seen or self._is_open_for_good)
            self._waiting -= 1
            self._changed.notify_all()

    def pass_by(self, seconds: float) -> None:
        """Wait `seconds`, less when the gate is released meanwhile."""
        with self._changed:
            seen = self._releases
            self._changed.wait_for(lambda: self._releases > seen or self._is_open_for_good, seconds)

    def release(self) -> None:
        """Let everything go on that waits now."""
        with self._changed:
            self._releases += 1
            self._changed.notify_all()

    def open_for_good(self) -> None:
        """Release, and hold nobody from now on."""
        with self._changed:
            self._is_open_for_good = True
            self._changed.notify_all()

    def wait_until_held(self, count: int = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when at least `count` requests wait. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting >= count, timeout_seconds):
                raise TimeoutError(f"{self._waiting} of {count} requests are held")


class InFlight:
    """Counts the requests that are being worked on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_until_idle(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when no request is being worked on. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count == 0, timeout_seconds):
                raise TimeoutError(f"{self._count} requests are still being worked on")
