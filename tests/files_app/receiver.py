"""A receiver of webhooks: a real HTTP server on loopback, which answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """Return what it tells."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """What was received, and how the next request is answered.

    status, headers: of every answer. hang: wait at this gate before answering, or sending anything.
    trickle: send the status line a byte at a time, for as long as the sender listens.
    """

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    trickle: bool = False
    received: list[Received] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    @property
    def kinds(self) -> list[str]:
        """Return the types of what was received, in order."""
        return [each.message["type"] for each in self.received]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve a receiver until the end of the block."""
    receiver = Receiver()
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            receiver.on_request()
            if receiver.hang is not None:
                receiver.hang.wait(30)
            with suppress(OSError):
                self._answer()

        def _answer(self) -> None:
            if receiver.trickle:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
                while not ending.wait(0.05):
                    self.wfile.write(b".")
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            ending.set()
            if receiver.hang is not None:
                receiver.hang.set()
            server.shutdown()
            thread.join()
