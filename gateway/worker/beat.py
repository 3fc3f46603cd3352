"""Beat: a thread of every worker that begins what is due, each kind of work in a thread of its own.

So nothing that hangs, and nothing at a provider, keeps upkeep waiting. Which worker does what is decided in
the database; the outbox and the heartbeat are each worker's own.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from files_app.services.deletes.queue import deliver_due
from files_app.services.operations import heartbeats, upkeep
from files_app.services.webhooks import queue as webhooks

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0


class Beat:
    """Looks every second; never waits for what it has begun."""

    def __init__(self) -> None:
        self._own: dict[str, Callable[[], object]] = {
            "outbox": deliver_due,
            "webhooks": webhooks.deliver_due,
            "heartbeat": heartbeats.beat,
        }
        self._own_due = dict.fromkeys(self._own, 0.0)
        self._begun: dict[str, float] = {}
        self._seen = time.monotonic()
        self._is_first_look = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    @property
    def is_running(self) -> bool:
        """Whether it still looks, or something that it has begun goes on."""
        return self._thread.is_alive() or bool(self._begun)

    def silent_seconds(self) -> float:
        """Return how long ago beat last looked."""
        return time.monotonic() - self._seen

    def longest_seconds(self) -> float:
        """Return how long the oldest work that beat has begun has been going on."""
        return max((time.monotonic() - begun for begun in list(self._begun.values())), default=0.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._guarded("beat", self._look)
            close_old_connections()
            self._seen = time.monotonic()
            self._stopping.wait(TICK_SECONDS)

    def _look(self) -> None:
        for name in self._due_here():
            self._begin(name, self._own[name])
        if self._is_first_look:
            upkeep.schedule()
            self._is_first_look = False
        for name in upkeep.due():
            self._begin(name, partial(upkeep.carry_out, name))

    def _due_here(self) -> list[str]:
        now = time.monotonic()
        due = [name for name, at in self._own_due.items() if at <= now]
        for name in due:
            self._own_due[name] = now + settings.UPKEEP_SECONDS[name]
        return due

    def _begin(self, name: str, work: Callable[[], object]) -> None:
        if name in self._begun:
            return
        self._begun[name] = time.monotonic()

        def run() -> None:
            try:
                self._guarded(name, work)
            finally:
                del self._begun[name]
                connections.close_all()  # SQLite's would outlast the thread

        threading.Thread(target=run, name=name, daemon=True).start()

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        with structlog.contextvars.bound_contextvars(upkeep=name):
            try:
                work()
            except (DatabaseError, InterfaceError) as error:  # one that is away comes back
                log.warning("upkeep_failed", error=type(error).__name__)
            except Exception:
                log.exception("upkeep_failed_unexpectedly")
