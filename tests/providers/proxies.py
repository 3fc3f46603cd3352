"""A proxy in front of a store, which refuses what other stores lack, or answers as they would."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "host", "date", "server"}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answered:
    """An answer; HEAD gets it without the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def xml(cls, status: int, code: str) -> Answered:
        """As S3 says it."""
        message = "<Message>canary: arn:aws:iam::1</Message>"
        return cls(status, f"<Error><Code>{code}</Code>{message}</Error>".encode())


#: What to answer, None for what the store itself answers.
Rule: TypeAlias = Callable[[Asked], Answered | None]


class StoreProxy(ThreadingHTTPServer):
    """Answers by `rule`, and passes everything else on to `upstream`, without the headers in `drops`."""

    def __init__(self, upstream: str, rule: Rule, drops: tuple[str, ...] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.rule = upstream, rule
        self.drops = {name.lower() for name in drops} | _HOP_BY_HOP
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: StoreProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        asked = Asked(self.command, path, query, dict(self.headers), body)
        self.server.asked.append(asked)
        self._send(self.server.rule(asked) or self._pass_on(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def _pass_on(self, body: bytes) -> Answered:
        upstream = http.client.HTTPConnection(urlsplit(self.server.upstream).netloc, timeout=30)
        kept = (each for each in self.headers.items() if each[0].lower() not in self.server.drops)
        upstream.request(self.command, self.path, body, dict(kept))
        answer = upstream.getresponse()
        found = Answered(answer.status, answer.read(), dict(answer.getheaders()))
        upstream.close()
        return found

    def _send(self, answer: Answered) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        length = answer.headers.get("Content-Length", "0") if is_head else str(len(answer.body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if not is_head:
            self.wfile.write(answer.body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def store_proxy(rule: Rule, upstream: str = "", drops: tuple[str, ...] = ()) -> Iterator[StoreProxy]:
    """Run a proxy; without an `upstream` the rule answers everything."""
    with StoreProxy(upstream, rule, drops) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        proxy.shutdown()
