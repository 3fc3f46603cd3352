"""Lets a refusal reach a client that is still sending.

A server that closes a connection with unread bytes in it resets it, and the reset overtakes the answer: the
client reports a broken connection, and sends everything again. So the answer goes out first, then what
still comes is read and thrown away, then the connection may end (RFC 9112, section 9.6).

Bounded by REFUSED_BODY_BYTES, REFUSED_BODY_SECONDS and REFUSED_BODY_THREADS: where the last are all taken, or
a refusal says `Connection: close` itself, the rest is left unread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from files_app.exceptions import InvalidRequestError
from files_app.observability import context, metrics
from files_app.services.index.transactions import release_connection
from files_app.web.bodies import content_length

log = structlog.get_logger(__name__)


class UnreadBodyMiddleware:
    """Reads a refused request to its end, behind the answer.

    Stands before the middleware that logs: a request takes as long as its answer, whatever follows.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not isinstance(response, HttpResponse) or response.status_code < 400 or not _has_body(request):
            return response
        if _waits_for_continue(request):
            response.headers["Connection"] = "close"  # a read would ask for the body
        if response.headers.get("Connection") == "close":
            return response
        return RefusalResponse(response, request)


class RefusalResponse(HttpResponse):
    """A refusal that a server, which iterates over it, sends whole before the rest of the body is read."""

    def __init__(self, refusal: HttpResponse, request: HttpRequest) -> None:
        super().__init__(
            refusal.content,
            status=refusal.status_code,
            reason=refusal.reason_phrase,
            headers=refusal.headers,
        )
        self.cookies = refusal.cookies
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        release_connection()
        _discard_body(self._request)


def _has_body(request: HttpRequest) -> bool:
    announced = request.META.get("CONTENT_LENGTH", "") not in {"", "0"}
    return announced or bool(request.META.get("HTTP_TRANSFER_ENCODING"))


def _waits_for_continue(request: HttpRequest) -> bool:
    """Whether the client sends nothing before it is asked to; gunicorn asks before it calls us."""
    record = context.current()
    is_untouched = record is None or record.bytes_in == 0
    expects = request.META.get("HTTP_EXPECT", "").lower() == "100-continue"
    return expects and is_untouched and "gunicorn.socket" not in request.META


def _discard_body(request: HttpRequest) -> None:
    if not _places().acquire(blocking=False):
        log.info("refused_body_left_unread")
        return
    began = time.monotonic()
    body = _RefusedBody(request.META["wsgi.input"].read, _most_bytes(request))
    body.discard(seconds=settings.REFUSED_BODY_SECONDS)
    if body.end == "time" and (connection := request.META.get("gunicorn.socket")):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)  # or two threads would read from it
    metrics.count_refused_body(body.bytes)
    if body.bytes == 0 and body.end == "body":
        return  # the refusal came behind the last byte
    seconds = round(time.monotonic() - began, 3)
    log.info("refused_body_discarded", bytes=body.bytes, seconds=seconds, end=body.end)


@cache
def _places() -> threading.BoundedSemaphore:
    """Return the threads of this process that may read refused bodies."""
    return threading.BoundedSemaphore(settings.REFUSED_BODY_THREADS)


def forget_places() -> None:
    """Begin anew, with the settings of now."""
    _places.cache_clear()


def _most_bytes(request: HttpRequest) -> int:
    """Return how much is read at the most: of strangers little, of callers we know any lawful upload."""
    record = context.current()
    most: int = settings.REFUSED_BODY_BYTES
    if record is not None and record.is_known:
        most += settings.MAX_FILE_BYTES
    with contextlib.suppress(InvalidRequestError):
        if (length := content_length(request)) is not None:
            return min(length, most)
    return most


class _RefusedBody:
    """The rest of a body that nobody wants.

    read: blocks, under granian until all that was asked for is there or the body has ended, and cannot be
    broken off. So it is called in a thread of its own, and a client that stalls holds none of the server's.
    bytes: how many were thrown away. end: which of the bounds was met, or `body`, or `broken` where the
    client left or its framing is wrong.
    """

    def __init__(self, read: Callable[[int], bytes], most_bytes: int) -> None:
        self._read = read
        self._most_bytes = most_bytes
        self._places = _places()
        self.bytes = 0
        self.end: Literal["body", "bytes", "time", "broken"] = "bytes"

    def discard(self, *, seconds: float) -> None:
        """Read until the end, or so far as allowed; gives the place back that the caller has taken."""
        reader = threading.Thread(target=self._run, name="refused-body", daemon=True)
        try:
            reader.start()
        except RuntimeError:  # the host has no thread left
            self.end = "broken"
            self._places.release()
            return
        reader.join(seconds)
        if reader.is_alive():
            self.end = "time"

    def _run(self) -> None:
        try:
            while self.end != "time" and (wanted := self._most_bytes - self.bytes) > 0:
                size = len(self._read(min(settings.UPLOAD_CHUNK_BYTES, wanted)))
                self.bytes += size
                if not size:
                    self.end = "body"
                    return
        except Exception:  # the outermost loop of the thread; the answer is out, nobody waits for more
            self.end = "broken"
        finally:
            self._places.release()
