"""A transport whose wire is a function: the real HTTPTransport, which opens no socket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from urllib3 import HTTPHeaderDict, HTTPResponse

from providers.transports.http import HTTPTransport, TransportLimits

LOOPBACK = TransportLimits(allow_private=True)


@dataclass(frozen=True)
class Sent:
    """One request as it went out. `body` is whole, also when it was streamed."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Answer:
    """What comes back: a mapping or list is sent as JSON, bytes as they are."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] | None = None

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        if isinstance(self.body, bytes):
            return self.body, dict(self.headers or {})
        return json.dumps(self.body).encode(), {"Content-Type": "application/json", **(self.headers or {})}


class PatientTransport(HTTPTransport):
    """Retries as the real one does, without the wait in between."""

    def _wait(self, seconds: float | None) -> None:
        pass


class FakeTransport(PatientTransport):
    """Answers every request from a function, or with the next of several answers, and keeps what was sent."""

    def __init__(self, answer: Callable[[Sent], Answer] | Answer | list[Answer]) -> None:
        super().__init__(LOOPBACK)
        self.sent: list[Sent] = []
        self._answer = answer
        self._pools = _Wire(self._exchange)  # type: ignore[assignment]  # all that the transport asks of it

    def _exchange(self, sent: Sent) -> Answer:
        self.sent.append(sent)
        if isinstance(self._answer, Answer):
            return self._answer
        return self._answer.pop(0) if isinstance(self._answer, list) else self._answer(sent)


class _Wire:
    def __init__(self, exchange: Callable[[Sent], Answer]) -> None:
        self._exchange = exchange

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, **kwargs: object
    ) -> HTTPResponse:
        whole = body if isinstance(body, bytes) else b"".join(body or ())
        answer = self._exchange(Sent(method, url, HTTPHeaderDict(headers), whole))
        data, said = answer.encoded()
        return HTTPResponse(
            io.BytesIO(data),
            headers={"Content-Length": str(len(data)), **said},
            status=answer.status,
            preload_content=False,
        )
