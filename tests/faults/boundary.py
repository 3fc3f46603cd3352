"""Counts the calls that leave the process, and lets the nth of them fail, as SQLite's own tests do.

Boundary calls: every SQL statement, every commit, every request to a provider or to S3, every step on the
disk and every message to the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

import pytest
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from kombu.exceptions import ChannelError

from files_app.services.index import broker, recent, transactions
from files_app.services.tenants import keys
from gateway.folder_broker import FolderChannel
from providers.exceptions import ProviderUnavailableError
from providers.transports import disk
from providers.transports.http import HTTPTransport

T = TypeVar("T")

#: before: the call does nothing. after: it does its work, and only its answer is lost.
Moment = Literal["before", "after"]
Times = Literal["once", "forever"]
#: What a message to the broker is called among the calls.
PUBLISH = "publish"


@dataclass
class Fault:
    """The nth call fails, and with `forever` all behind it. `calls` is what was called, in order."""

    nth: int
    moment: Moment
    times: Times
    calls: list[str] = field(default_factory=list)

    @property
    def has_fired(self) -> bool:
        return len(self.calls) >= self.nth

    def __str__(self) -> str:
        return f"{self.moment}/{self.times} at call {self.nth} of {self.calls}"

    def hits(self) -> bool:
        """Whether the call that was noted last has to fail."""
        return len(self.calls) == self.nth or (self.times == "forever" and self.has_fired)


class Boundary:
    """Where calls leave the process. They fail inside of `failing`, and nowhere else."""

    def __init__(self) -> None:
        self._fault: Fault | None = None

    @contextmanager
    def failing(self, nth: int, moment: Moment, times: Times) -> Iterator[Fault]:
        self._fault = Fault(nth, moment, times)
        try:
            yield self._fault
        finally:
            self._fault = None

    def call(
        self, label: str, work: Callable[[], T], error: Callable[[bool], Exception], *, is_final: bool = True
    ) -> T:
        """Do `work`, or fail with `error`, which is told whether the work was done.

        is_final: whether the work stays done; what a transaction does is undone with its connection.
        """
        fault = self._fault
        if fault is None:
            return work()
        fault.calls.append(label)
        if not fault.hits():
            return work()
        was_done = fault.moment == "after" and is_final
        if was_done:
            work()
        raise error(was_done)


def database_away(was_done: bool) -> Exception:
    return OperationalError("the connection was lost")


def provider_away(was_done: bool) -> Exception:
    return ProviderUnavailableError("The connection to the provider broke.", answered=not was_done)


def bucket_away(was_done: bool) -> Exception:
    if was_done:
        return ReadTimeoutError(endpoint_url="http://bucket.test")
    return EndpointConnectionError(endpoint_url="http://bucket.test")


def disk_broken(was_done: bool) -> Exception:
    return ProviderUnavailableError(
        "The gateway's disk failed.", code="storage_failed", answered=not was_done
    )


def broker_away(was_done: bool) -> Exception:
    return ChannelError("cannot add a file to the queue")  # as the embedded broker says that its disk is full


@pytest.fixture
def boundary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Boundary]:
    """The boundary of this process; nothing behind it waits, and each request makes the same calls."""
    it = Boundary()
    # A key or an account that is remembered for some seconds would move the nth call, and leave one out.
    monkeypatch.setattr(keys, "_CACHE_SECONDS", -1.0)
    monkeypatch.setattr(keys, "_LAST_USED_RESOLUTION", timedelta(days=1))
    monkeypatch.setattr(recent, "SECONDS", -1.0)
    monkeypatch.setattr(HTTPTransport, "_wait", lambda self, seconds: None)
    monkeypatch.setattr(broker, "_pause", broker._Pause())
    monkeypatch.setattr(broker, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(transactions, "PATIENCE_SECONDS", 0.15)  # a second try, no third
    _watch(monkeypatch, it, BaseDatabaseWrapper, "_commit", database_away)
    _watch(monkeypatch, it, HTTPTransport, "_send_once", provider_away)
    _watch(monkeypatch, it, BaseClient, "_make_api_call", bucket_away)
    _watch(monkeypatch, it, disk.DiskStore, "begin", disk_broken, is_final=False)
    for owner, name in (
        (disk.DiskStore, "delete"),
        (disk._DiskWriting, "write"),
        (disk._DiskWriting, "_link"),
    ):
        _watch(monkeypatch, it, owner, name, disk_broken)
    _watch(monkeypatch, it, FolderChannel, "_put", broker_away, label=PUBLISH)

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        verb = sql.partition(" ")[0]
        is_final = verb != "BEGIN" and not connection.in_atomic_block
        return it.call(verb, lambda: run(sql, params, many, context), database_away, is_final=is_final)

    with connection.execute_wrapper(execute):
        yield it


def _watch(
    monkeypatch: pytest.MonkeyPatch,
    boundary: Boundary,
    owner: type,
    name: str,
    error: Callable[[bool], Exception],
    *,
    is_final: bool = True,
    label: str = "",
) -> None:
    original = getattr(owner, name)

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        return boundary.call(label or name, lambda: original(self, *args, **kwargs), error, is_final=is_final)

    monkeypatch.setattr(owner, name, watched)
