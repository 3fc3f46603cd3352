"""Requests are known while they are answered, with what they wait for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from gateway.slow_clients.exchanges import Exchanges, watched


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges()


def environ(body: bytes = b"") -> dict[str, Any]:
    return {"REMOTE_ADDR": "192.0.2.1", "wsgi.input": io.BytesIO(body)}


def test_a_request_waits_for_its_client_while_its_body_is_read(exchanges: Exchanges) -> None:
    seen: list[bool] = []

    class Body(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.append(exchanges.running()[0].waits_for_client)
            return super().read(size)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(3) + environ["wsgi.input"].readline() + environ["wsgi.input"].read()
        seen.append(exchanges.running()[0].waits_for_client)
        return [body]

    answer = watched(application, exchanges)({**environ(), "wsgi.input": Body(b"abcd\nef")}, lambda *_: None)
    assert b"".join(answer) == b"abcd\nef"
    assert seen == [True, True, False]


def test_a_request_is_known_until_its_answer_is_closed(exchanges: Exchanges) -> None:
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    answer = watched(lambda environ, start_response: chunks(), exchanges)(environ(), lambda *_: None)
    (exchange,) = exchanges.running()
    begun = exchange.moved
    assert next(iter(answer)) == b"a"
    assert exchange.moved > begun
    assert exchange.address == "192.0.2.1"
    answer.close()  # type: ignore[attr-defined]
    assert exchanges.running() == []
    assert closed == [True]


def test_a_request_that_fails_is_forgotten(exchanges: Exchanges) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        watched(application, exchanges)(environ(), lambda *_: None)
    assert exchanges.running() == []


def test_an_answer_that_is_there_at_once_is_passed_on_as_it_is(exchanges: Exchanges) -> None:
    """Granian sends a list at once, and asks piece by piece for anything else."""
    body = [b"all of it"]
    answer = watched(lambda environ, start_response: body, exchanges)(environ(), lambda *_: None)
    assert answer is body
    assert exchanges.running() == []
