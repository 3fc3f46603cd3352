"""Carries one connection: reads requests, applies the script, sends the answers."""

from __future__ import annotations

import contextlib
import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .body import Body, IncompleteBodyError
from .delivery import CutError, altered, write_answer
from .dialects.base import Request
from .records import RecordedRequest
from .script import Behaviour
from .wire import Answer, Headers, MemoryBlob

if TYPE_CHECKING:
    from .server import FakeServer

LINGER_SECONDS = 5.0


class HangUpError(Exception):
    """The connection is to be closed without any answer."""


class Handler(BaseHTTPRequestHandler):
    """`http.server` parses the head of a request; the rest happens here."""

    protocol_version = "HTTP/1.1"
    rbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: FakeServer

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Stay silent: requests are recorded, not logged."""

    def handle_expect_100(self) -> bool:
        """Keep `100 Continue` back until the body is wanted, so that an early answer spares it."""
        return True

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def serve(self) -> None:
        url = urlsplit(self.path)
        headers = Headers(self.headers.items())
        try:
            body = Body(self.rfile, headers, self._continue)
        except ValueError:
            self.send_error(400, "Bad Content-Length")
            return
        query = parse_qs(url.query, keep_blank_values=True)
        record = RecordedRequest("", self.command, url.path, query, headers)
        request = Request(self.command, url.path, query, headers, body, record)
        if control_answer := self.server.app.answer_control(request):
            self._send(control_answer, Behaviour(), request)
            return
        with self.server.app.in_flight:
            self._serve_scripted(request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def _continue(self) -> None:
        if (self.headers.get("Expect") or "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()

    def _serve_scripted(self, request: Request) -> None:
        app = self.server.app
        app.record(request, self.server.is_storage)
        behaviour = app.scripted.take(request.method, request.record.path)
        record = request.record
        try:
            answer = self._answer(request, behaviour)
        except (IncompleteBodyError, HangUpError):
            self._note_body(request)
            self._hang_up(resets=behaviour.resets)
            return
        self._note_body(request)
        record.status = answer.status
        self._send(answer, behaviour, request)

    def _pause(self, request: Request) -> None:
        self._note_body(request)
        self.server.app.gate.hold()

    def _note_body(self, request: Request) -> None:
        record, body = request.record, request.body
        record.body_bytes = body.received_bytes
        record.body_complete = body.is_complete
        record.first_body_byte_at = body.first_byte_at

    def _answer(self, request: Request, behaviour: Behaviour) -> Answer:
        app, body = self.server.app, request.body
        if behaviour.pause_after_body_bytes is not None:
            body.pause_after(behaviour.pause_after_body_bytes, lambda: self._pause(request))
        served = Answer()
        if behaviour.answer_after_body_bytes is not None:
            body.read_up_to(behaviour.answer_after_body_bytes)
        elif behaviour.is_served:
            served = app.dispatch(request, self.server.is_storage)
        else:
            body.drain()
        if behaviour.hangs:
            app.gate.hold()
        if behaviour.drops:
            raise HangUpError
        if behaviour.error_status:
            served = app.error_answer(request, behaviour.error_status, self.server.is_storage)
        elif behaviour.answer:
            canned = behaviour.answer
            served = Answer(canned.status, canned.headers, MemoryBlob(canned.body))
        return altered(served, behaviour)

    def _send(self, answer: Answer, behaviour: Behaviour, request: Request) -> None:
        closes = not request.body.is_complete or behaviour.framing == "close"
        is_head = request.method == "HEAD"
        try:
            write_answer(self.wfile, answer, behaviour, self.server.app.gate, is_head=is_head, closes=closes)
        except CutError:
            self._hang_up(resets=behaviour.resets)
            return
        if closes:
            self._linger(request)

    def _linger(self, request: Request) -> None:
        """Say that nothing more comes, and read on until the peer has noticed.

        Closing with unread bytes would make the kernel reset the connection, and the peer could lose
        the answer that is on its way.
        """
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_SECONDS)
            while chunk := self.rfile.read1(65536):
                request.record.drained_bytes += len(chunk)

    def _hang_up(self, *, resets: bool) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
