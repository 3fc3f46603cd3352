"""Prometheus metrics, shared by the web and Celery processes of a host through files in METRICS_DIR.

Gauges of the database (quota, pending deletes) are not kept here but read when `/metrics` is asked.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

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
    "files_gateway_bytes", "Bytes of files received from and sent to clients.", ["direction", "provider"]
)
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
    "files_gateway_provider_errors", "Operations that failed.", ["driver", "operation", "error"]
)

GaugeSource = Callable[[bool], Iterable[Metric]]


# `labels()` validates and locks on each call; routes, methods and statuses are few.
@lru_cache(maxsize=1024)
def _request_counter(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@lru_cache(maxsize=1024)
def _request_timer(route: str, method: str) -> Histogram:
    return REQUEST_SECONDS.labels(route, method)


def count_request(*, route: str, method: str, status: int, seconds: float) -> None:
    _request_counter(route, method, status).inc()
    _request_timer(route, method).observe(seconds)


def count_bytes(provider: str, *, received: int, sent: int) -> None:
    """Count the bytes of a transfer; requests that reached no provider account are left out."""
    if provider and received:
        BYTES.labels("in", provider).inc(received)
    if provider and sent:
        BYTES.labels("out", provider).inc(sent)


def count_refused_body(size: int) -> None:
    REFUSED_BODY_BYTES.inc(size)


@contextmanager
def provider_operation(driver: str, operation: str) -> Iterator[None]:
    """Time an operation of a provider and count its failure by the error's class.

    What a client did wrong passes through here too, and is not the provider's failure.
    """
    started = time.perf_counter()
    try:
        yield
    except ProviderError as error:
        PROVIDER_ERRORS.labels(driver, operation, type(error).__name__).inc()
        raise
    finally:
        PROVIDER_SECONDS.labels(driver, operation).observe(time.perf_counter() - started)


class DatabaseCollector(Collector):
    """Reads the gauges of the database when it is asked."""

    def __init__(self, sources: Iterable[GaugeSource], *, by_organization: bool) -> None:
        self._sources = sources
        self._by_organization = by_organization

    def collect(self) -> Iterator[Metric]:
        for source in self._sources:
            yield from source(self._by_organization)


def exposition(sources: Iterable[GaugeSource], *, by_organization: bool) -> bytes:
    """Return all metrics of this host in Prometheus' text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(DatabaseCollector(sources, by_organization=by_organization))
    return generate_latest(registry)
