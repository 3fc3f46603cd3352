"""Work that each process does again and again beside its requests, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from django.db import connection

from files_app.services.index.transactions import release_connection

log = structlog.get_logger(__name__)


class Rounds:
    """Does something every so many seconds, until the process ends.

    seconds: between two rounds; 0 where it is not wanted. failure: the event that the log has of the first of
    several rounds that failed. What a round leaves undone is for the next.
    """

    def __init__(
        self, name: str, work: Callable[[], None], *, seconds: Callable[[], float], failure: str
    ) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._failure = failure
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> bool:
        """Begin with the first use, in the process that serves and not in its parent; whether this was it."""
        if self._thread is not None or not self._seconds():
            return False
        with self._lock:
            begins, self._thread = self._thread is None, self._thread or self._made()
            if begins:
                self._thread.start()
            return begins

    def _made(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _run(self) -> None:
        pause, is_away = threading.Event(), False
        while not pause.wait(self._seconds()):
            try:
                self._work()
                release_connection()
                is_away = False
            except Exception as exc:  # the outermost loop of the thread
                if not is_away:
                    log.warning(self._failure, error=type(exc).__name__)
                is_away = True
                connection.close()
