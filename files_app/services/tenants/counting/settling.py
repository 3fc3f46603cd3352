"""Counts of each process that are settled in the database, without a statement in any request.

Between two settles a process knows nothing of the others: so much may pass beyond a limit as they all let
through in SETTLE_SECONDS and the time of one transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog
from django.conf import settings
from django.db import connection

from files_app.services.index.transactions import release_connection
from files_app.services.tenants.counting import database
from files_app.services.tenants.counting.counts import Demand, Standing
from files_app.services.tenants.counting.local import LocalCounts

log = structlog.get_logger(__name__)


class SettledCounts:
    """Local counts, and the thread that settles them."""

    def __init__(self, local: LocalCounts) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""
        if self._thread is None and settings.SETTLE_SECONDS:
            self._start()
        return self._local.take(demands)

    def settle(self) -> None:
        """Tell the other processes what was counted here, and hear what they counted."""
        if untold := self._local.untold():
            counted = database.add({name: each.amount for name, each in untold.items()})
            self._local.learn(untold, counted)

    def _start(self) -> None:
        """Start the thread with the first count: in the process that serves, not in its parent."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rate-limits", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause, is_away = threading.Event(), False
        while not pause.wait(settings.SETTLE_SECONDS):
            try:
                self.settle()
                release_connection()
                is_away = False
            except Exception as exc:  # the outermost loop of the thread; the next round has all of it again
                if not is_away:
                    log.warning("rate_limits_not_settled", error=type(exc).__name__)
                is_away = True
                connection.close()
