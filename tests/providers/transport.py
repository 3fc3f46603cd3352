"""A transport whose wire is a function: the real HTTPTransport over an adapter that opens no socket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

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
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _FunctionAdapter(self._exchange))

    def _exchange(self, sent: Sent) -> Answer:
        self.sent.append(sent)
        if isinstance(self._answer, Answer):
            return self._answer
        return self._answer.pop(0) if isinstance(self._answer, list) else self._answer(sent)


class _FunctionAdapter(BaseAdapter):
    def __init__(self, exchange: Callable[[Sent], Answer]) -> None:
        super().__init__()
        self._exchange = exchange

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        body = request.body or b""
        whole = body if isinstance(body, bytes) else b"".join(body)  # type: ignore[arg-type]  # chunks
        assert request.method and request.url
        answer = self._exchange(Sent(request.method, request.url, request.headers, whole))
        data, headers = answer.encoded()
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update({"Content-Length": str(len(data)), **headers})
        response.raw = HTTPResponse(
            io.BytesIO(data), headers=response.headers, status=answer.status, preload_content=False
        )
        return response

    def close(self) -> None:
        pass
