"""The requests that this process is answering, and when each last moved bytes.

A web server does not say which connection a request came by, so they are kept by the client's address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class Input(Protocol):
    """What WSGI calls `wsgi.input`."""

    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self, size: int = -1, /) -> bytes: ...


@dataclass(slots=True, eq=False)
class Exchange:
    """A request and its answer. `moved`: time.monotonic() when it last took bytes or gave some."""

    address: str
    moved: float
    waits_for_client: bool = False


class Exchanges:
    """All exchanges of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Exchange] = set()

    def begin(self, address: str) -> Exchange:
        exchange = Exchange(address, time.monotonic())
        with self._lock:
            self._running.add(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        with self._lock:
            self._running.discard(exchange)

    def running(self) -> list[Exchange]:
        with self._lock:
            return list(self._running)


class _WatchedInput:
    """A request's body: its exchange waits for the client while somebody reads."""

    def __init__(self, stream: Input, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    def read(self, size: int = -1, /) -> bytes:
        return self._wait_for(self._stream.read, size)

    def readline(self, size: int = -1, /) -> bytes:
        return self._wait_for(self._stream.readline, size)

    def _wait_for(self, read: Callable[..., bytes], size: int) -> bytes:
        self._exchange.waits_for_client = True
        try:
            return read(size) if size >= 0 else read()  # granian knows no negative size
        finally:
            self._exchange.moved = time.monotonic()
            self._exchange.waits_for_client = False


class _WatchedAnswer:
    """An answer's body. The server calls `close` when it is done with it, also when the client left."""

    def __init__(self, body: Iterable[bytes], exchange: Exchange, exchanges: Exchanges) -> None:
        self._body = body
        self._chunks = iter(body)
        self._exchange = exchange
        self._exchanges = exchanges

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._exchange.moved = time.monotonic()
        return chunk

    def close(self) -> None:
        try:
            if close := getattr(self._body, "close", None):
                close()
        finally:
            self._exchanges.end(self._exchange)


def watched(
    application: Callable[..., Iterable[bytes]], exchanges: Exchanges
) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application, with each of its requests kept in `exchanges` until it is answered."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        exchange = exchanges.begin(str(environ.get("REMOTE_ADDR", "")))
        environ["wsgi.input"] = _WatchedInput(environ["wsgi.input"], exchange)
        try:
            body = application(environ, start_response)
            if not isinstance(body, list):
                return _WatchedAnswer(body, exchange, exchanges)
        except BaseException:
            exchanges.end(exchange)
            raise
        exchanges.end(exchange)  # the server has all of it, and its socket shows whether the client takes it
        return body

    return answer
