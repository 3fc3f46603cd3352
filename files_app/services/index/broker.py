"""Hints to workers over the broker. What they hint at is in the database, so none of them has to arrive."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

log = structlog.get_logger(__name__)

#: Later than that, what is due has long been found.
_HINT_SECONDS = 60
_PAUSE_SECONDS = 5.0


class _Pause:
    """After a failure, spares requests the wait for the broker for some seconds."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def may_try(self) -> bool:
        return time.monotonic() >= self._until

    def failed(self) -> None:
        with self._lock:
            self._until = time.monotonic() + _PAUSE_SECONDS


_pause: Final = _Pause()


def hint(task: str, *args: int) -> bool:
    """Publish a task of `files_app.tasks`, by its name; False when the broker cannot take it now."""
    if not _pause.may_try():
        return False
    try:
        current_app.send_task(f"files_app.tasks.{task}", args=args, expires=_HINT_SECONDS)
    except (BrokerError, OSError) as exc:
        _pause.failed()
        log.warning("broker_unreachable", error=type(exc).__name__)
        return False
    return True
