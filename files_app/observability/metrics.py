"""Prometheus metrics, shared by the web and Celery processes of a host through files in METRICS_DIR.

Gauges of the database (quota, pending deletes) are not kept here but read when `/metrics` is asked.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from files_app.observability import metric_files  # noqa: F401 - how the values below are kept
from providers.exceptions import ProviderError

TRANSFER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

REQUESTS = Counter("files_gateway_requests", "Requests answered.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "files_gateway_request_seconds",
    "Time until the last byte of an answer.",
    ["route", "method"],
    buckets=TRANSFER_BUCKETS,
)
BYTES = Counter(
    "files_gateway_bytes",
    "Bytes of files received from and sent to clients.",
    ["direction", "driver", "provider"],
)
#: Labels whose values tenants choose: shown only to a scraper that holds METRICS_TOKEN.
NAMING_LABELS = frozenset({"provider", "organization"})
REFUSED_BODY_BYTES = Counter(
    "files_gateway_refused_body_bytes", "Bytes of refused requests that were read and thrown away."
)
PROVIDER_SECONDS = Histogram(
    "files_gateway_provider_request_seconds",
    "Time that a provider's operation took.",
    ["driver", "operation"],
    buckets=TRANSFER_BUCKETS,
)
PROVIDER_ERRORS = Counter(
    "files_gateway_provider_errors",
    "Operations that failed.",
    ["driver", "operation", "error", "organization", "provider"],
)
TRANSFERS = Gauge(
    "files_gateway_transfers",
    "Threads of this host that hold a transfer or wait for a provider.",
    multiprocess_mode="livesum",
)
CONNECTIONS_ENDED = Counter(
    "files_gateway_connections_ended",
    "Connections that the gateway ended for what their client did.",
    ["fault"],
)

SIGN_INS = Counter("files_gateway_sign_ins", "Sign-ins of staff.", ["result"])

ADMISSIONS_REFUSED = Counter(
    "files_gateway_admissions_refused",
    "Requests that were refused because a share of the threads was taken.",
    ["share"],
)

BREAKERS_OPENED = Counter(
    "files_gateway_breakers_opened", "Breakers that opened: a provider did not answer.", ["driver", "kind"]
)
BREAKER_REFUSALS = Counter(
    "files_gateway_breaker_refusals", "Calls that an open breaker refused.", ["driver", "kind"]
)

#: Scrapers ask four times a minute: what is a second old is as good to them.
_KEPT_SECONDS = 1.0

GaugeSource = Callable[[bool], Iterable[Metric]]


# `labels()` validates and locks on each call; routes, methods, statuses and accounts are few.
@lru_cache(maxsize=1024)
def _request_counter(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@lru_cache(maxsize=1024)
def _request_timer(route: str, method: str) -> Histogram:
    return REQUEST_SECONDS.labels(route, method)


@lru_cache(maxsize=1024)
def _byte_counter(direction: str, driver: str, provider: str) -> Counter:
    return BYTES.labels(direction, driver, provider)


def count_request(*, route: str, method: str, status: int, seconds: float) -> None:
    _request_counter(route, method, status).inc()
    _request_timer(route, method).observe(seconds)


def count_bytes(*, driver: str, provider: str, received: int, sent: int) -> None:
    """Count the bytes of a transfer; requests that reached no provider account are left out."""
    if provider and received:
        _byte_counter("in", driver, provider).inc(received)
    if provider and sent:
        _byte_counter("out", driver, provider).inc(sent)


def count_refused_body(size: int) -> None:
    REFUSED_BODY_BYTES.inc(size)


@contextmanager
def provider_operation(driver: str, operation: str, names: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """Time an operation of a provider and count its failure by the error's class.

    names: of the account's organization and of the account, asked for when the operation fails.
    What a client did wrong passes through here too, and is not the provider's failure.
    """
    started = time.perf_counter()
    try:
        yield
    except ProviderError as error:
        PROVIDER_ERRORS.labels(driver, operation, type(error).__name__, *names()).inc()
        raise
    finally:
        PROVIDER_SECONDS.labels(driver, operation).observe(time.perf_counter() - started)


class DatabaseCollector(Collector):
    """Reads the gauges of the database when it is asked."""

    def __init__(self, sources: Iterable[GaugeSource], *, with_names: bool) -> None:
        self._sources = sources
        self._with_names = with_names

    def collect(self) -> Iterator[Metric]:
        for source in self._sources:
            yield from source(self._with_names)


class ProcessesCollector(MultiProcessCollector):
    """Adds up the counters of all processes; without names, also those that differ in a name alone."""

    def __init__(self, *, with_names: bool) -> None:
        super().__init__(None)  # type: ignore[no-untyped-call]  # no registry: it is registered by hand
        self._with_names = with_names

    def collect(self) -> Iterator[Metric]:
        _forget_dead_processes(Path(self._path))
        for metric in super().collect():  # type: ignore[no-untyped-call]
            yield metric if self._with_names else _nameless(metric)


def _forget_dead_processes(folder: Path) -> None:
    """Remove what processes that are gone still seem to hold: one that was killed gave nothing back."""
    for path in folder.glob("gauge_live*_*.db"):
        process = path.stem.rpartition("_")[2]
        if process.isdecimal() and not _is_alive(int(process)):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _nameless(metric: Metric) -> Metric:
    sums: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for sample in metric.samples:
        labels = frozenset(
            (name, value) for name, value in sample.labels.items() if name not in NAMING_LABELS
        )
        sums[sample.name, labels] = sums.get((sample.name, labels), 0) + sample.value
    metric.samples = [Sample(name, dict(labels), value) for (name, labels), value in sums.items()]
    return metric


@dataclass(frozen=True, slots=True)
class _Kept:
    text: bytes
    good_until: float  # time.monotonic()


class Exposition:
    """All metrics of this host in Prometheus' text format.

    Making it reads a file of each process and asks the database. However many ask, one thread makes it, and
    that takes a tenth of its time at most: the others get what was made last.
    """

    def __init__(self, sources: Iterable[GaugeSource], *, kept_seconds: float = _KEPT_SECONDS) -> None:
        self._sources = sources
        self._kept_seconds = kept_seconds
        self._making = threading.Lock()
        self._kept: dict[bool, _Kept] = {}

    def text(self, *, with_names: bool) -> bytes:
        """Return the exposition as it was a moment ago.

        with_names: of organizations and provider accounts; without them, sums and drivers.
        """
        kept = self._kept.get(with_names)
        if kept and time.monotonic() < kept.good_until:
            return kept.text
        if not self._making.acquire(blocking=kept is None) and kept:
            return kept.text
        try:
            latest = self._kept.get(with_names)
            if latest is kept or latest is None:  # else another thread has just made it
                latest = self._kept[with_names] = self._make(with_names)
            return latest.text
        finally:
            self._making.release()

    def forget(self) -> None:
        """Make it anew when it is asked for next."""
        self._kept.clear()

    def _make(self, with_names: bool) -> _Kept:
        began = time.monotonic()
        registry = CollectorRegistry()
        registry.register(ProcessesCollector(with_names=with_names))
        registry.register(DatabaseCollector(self._sources, with_names=with_names))
        text = generate_latest(registry)
        ended = time.monotonic()
        return _Kept(text, ended + max(self._kept_seconds, 9 * (ended - began)))
