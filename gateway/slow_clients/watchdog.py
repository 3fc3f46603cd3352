"""The thread that looks at the connections of its web process, and ends those that have to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import structlog
from django.conf import settings

from files_app.observability.metrics import CONNECTIONS_ENDED
from gateway.slow_clients import sockets
from gateway.slow_clients.exchanges import Exchanges, watched
from gateway.slow_clients.judgement import Bounds, Fault, Judge, Request
from gateway.slow_clients.sockets import Reading

log = structlog.get_logger(__name__)

_LOOKS_PER_PATIENCE = 20
_LONGEST_PAUSE_SECONDS = 1.0
_TOO_SLOW = frozenset({Fault.SLOW_DOWNLOAD, Fault.SLOW_UPLOAD})


def guarded(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application of a web process whose slow clients are watched from now on."""
    exchanges = Exchanges()
    bounds = Bounds(
        least_rate=settings.CLIENT_LEAST_RATE,
        patience_seconds=settings.CLIENT_IDLE_SECONDS,
        most_connections=settings.CONNECTIONS_PER_WORKER * 3 // 4,  # at all of them nobody new would come in
        threads=settings.CONNECTIONS_PER_WORKER,
    )
    Watchdog(bounds, exchanges).start()
    return watched(application, exchanges)


class Watchdog:
    """Ends connections of this process for as long as it lives."""

    def __init__(self, bounds: Bounds, exchanges: Exchanges) -> None:
        self._judge = Judge(bounds)
        self._exchanges = exchanges
        self._pause_seconds = min(bounds.patience_seconds / _LOOKS_PER_PATIENCE, _LONGEST_PAUSE_SECONDS)

    def start(self) -> None:
        """Begin to look; where the system shows too little, say so and leave it to a proxy."""
        if not sockets.are_readable():
            log.warning("slow_clients_unwatched", hint="put a proxy in front that ends slow connections")
            return
        threading.Thread(target=self._run, name="slow-clients", daemon=True).start()

    def _run(self) -> None:
        looked = time.monotonic()
        while True:
            time.sleep(self._pause_seconds)
            now = time.monotonic()
            # A process that stood still itself has seen nothing of its clients meanwhile.
            elapsed_seconds, looked = min(now - looked, 2 * self._pause_seconds), now
            try:
                self._look(now, elapsed_seconds)
            except Exception:  # one look that fails is no reason to stop looking
                log.exception("slow_clients_look_failed")

    def _look(self, now: float, elapsed_seconds: float) -> None:
        readings = sockets.accepted()
        requests = [
            Request(exchange.address, now - exchange.moved, exchange.waits_for_client)
            for exchange in self._exchanges.running()
        ]
        faults = self._judge.judge(readings, requests, elapsed_seconds)
        for reading in readings:
            if fault := faults.get(reading.inode):
                _end(reading, fault)


def _end(reading: Reading, fault: Fault) -> None:
    is_too_slow = fault in _TOO_SLOW
    if not sockets.shut(reading, resets=is_too_slow):
        return
    CONNECTIONS_ENDED.labels(fault).inc()
    write = log.info if is_too_slow else log.debug  # connections that nobody uses any more end every day
    write("connection_ended", fault=fault, remote_addr=reading.address, bytes_in=reading.received)
