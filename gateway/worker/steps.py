"""What a Celery worker does here beside listening: its threads begin and end with it."""

import time
from typing import Any

import structlog
from celery import bootsteps
from django.conf import settings

from files_app.services.accounts import lanes
from gateway.worker import signs
from gateway.worker.beat import Beat

log = structlog.get_logger(__name__)

#: What loops at least every two seconds stands when it has not for so long.
SILENT_SECONDS = 30.0
#: What is in hand at a stop gets the grace period, and no more than this: it is done again after its lease.
FAREWELL_SECONDS = 60
#: Between one try to listen and the next.
PAUSE_SECONDS = 1.0
#: No work of ours takes so long.
ENDLESS_SECONDS = 3_600.0


class Background(bootsteps.StartStopStep):
    """Runs beat and the lane of providers, also while the broker is away."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._beat = Beat()

    def start(self, worker: Any) -> None:
        lane = lanes.open_lane(settings.WORKER_CONCURRENCY)
        self._beat.start()
        signs.watch("beat", self._beat.silent_seconds, at_most_seconds=SILENT_SECONDS)
        signs.watch("upkeep", self._beat.longest_seconds, at_most_seconds=ENDLESS_SECONDS)
        signs.watch("providers", lane.longest_seconds, at_most_seconds=ENDLESS_SECONDS)
        log.info("worker_began", threads=settings.WORKER_CONCURRENCY)

    def stop(self, worker: Any) -> None:
        """Let what is in hand end within the grace period, or a minute; the rest is left to its leases."""
        self._beat.stop()
        if not lanes.close_lane(min(settings.SHUTDOWN_GRACE_SECONDS, FAREWELL_SECONDS)):
            log.warning("stopped_with_work_in_hand")

    def terminate(self, worker: Any) -> None:
        self._beat.stop()
        lanes.close_lane(0)


class Listening(bootsteps.StartStopStep):
    """Keeps the worker listening, and shows that the loop that reads the broker turns.

    While there is no connection it says nothing.
    """

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._seen: float | None = None
        self._is_wrapped = False
        # The folder broker's: a folder that cannot be read is a broker that is away, and no reason to end.
        consumer.connection_errors = (*consumer.connection_errors, OSError)
        signs.watch("listening", self._silent_seconds, at_most_seconds=SILENT_SECONDS)

    def start(self, consumer: Any) -> None:
        self._turn()
        if consumer.hub is not None:
            consumer.hub.call_repeatedly(1.0, self._turn)
        elif not self._is_wrapped:
            self._wrap(consumer)

    def stop(self, consumer: Any) -> None:
        """Say nothing until the next connection; of those that break off at once there is one a second."""
        if self._seen is not None and self._silent_seconds() < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS)
        self._seen = None

    def _wrap(self, consumer: Any) -> None:
        """Hook into what Celery's loop without events, that of the folder broker, calls in each round."""
        perform = consumer.perform_pending_operations

        def perform_and_turn() -> None:
            self._turn()
            perform()

        consumer.perform_pending_operations = perform_and_turn
        self._is_wrapped = True

    def _turn(self) -> None:
        self._seen = time.monotonic()

    def _silent_seconds(self) -> float:
        return 0.0 if self._seen is None else time.monotonic() - self._seen
