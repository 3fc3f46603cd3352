"""The HTTP transport: the only place that opens a connection to a provider's API.

Foreign exceptions stop here: what `requests` and `urllib3` raise becomes a ProviderError (`http_errors`).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import Final

import requests
from requests.utils import check_header_validity
from urllib3 import BaseHTTPResponse, Timeout

from providers.exceptions import InvalidResponseError, ProviderTimeoutError, ProviderUnavailableError
from providers.objects import JSONValue
from providers.parsing import retry_after_seconds, split_url
from providers.transports.addresses import PrivateNetworks
from providers.transports.guard import WaryBody
from providers.transports.http_errors import FOREIGN, error_of_reading, error_of_sending, is_hang_up
from providers.transports.pools import GuardedPools
from providers.transports.proxies import Proxies

_RETRIED_STATUSES: Final = frozenset({429, 500, 502, 503, 504, 529})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 3
#: How much of a body is kept until a connection that served before has taken it. A provider that closes one
#: for its idleness is heard of within a round trip.
_KEPT_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of every call. A read timeout bounds the wait for the next bytes, not the whole transfer.

    ca_bundle: a file in PEM of the authorities to trust; None for the public ones that `certifi` lists.
    """

    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 300.0
    write_timeout_seconds: float = 60.0
    call_timeout_seconds: float = 30.0
    max_answer_bytes: int = 4_194_304
    max_retry_wait_seconds: float = 2.0
    allow_private: PrivateNetworks = False
    ca_bundle: str | None = None
    proxies: Proxies = field(default_factory=Proxies)


@dataclass(slots=True)
class StreamBody(WaryBody):
    """A request body that is pulled as it is sent. `length` None sends it chunked.

    `started` and `exhausted` tell a caller whether bytes can have reached the provider, and whether all did.
    What `chunks` raises reaches the caller of `HTTPTransport.send` unchanged.
    `reopen` returns the same bytes from the start; without it a redirect cannot be followed once started.

    On a connection that served before, the beginning is kept for a while: its provider may be just closing
    it. What goes out on a new one is not sent again.
    """

    chunks: Iterator[bytes]
    length: int | None = None
    reopen: Callable[[], Iterator[bytes]] | None = None
    started: bool = False
    exhausted: bool = False
    is_at_hand: bool = False
    passed_bytes: int = field(default=0, init=False)
    #: None where nothing is kept, or more has passed than is.
    _kept: list[bytes] | None = field(default=None, init=False, repr=False)
    _wants_new: bool = field(default=False, init=False)

    def begin(self, *, is_used: bool) -> bool:
        if is_used and self._wants_new:
            return False
        self._kept = [] if is_used else None
        return True

    def again(self) -> bool:
        """Go back to the start, for a new connection; False where that is not possible or not safe.

        A provider that has not been sent the end of a body cannot have made a file of it.
        """
        is_whole = self.exhausted or (self.length is not None and self.passed_bytes >= self.length)
        if is_whole or self._kept is None:
            return False
        self.chunks = chain(self._kept, self.chunks)
        self.passed_bytes, self._kept, self._wants_new = 0, None, True
        return True

    def __iter__(self) -> Iterator[bytes]:
        self.started = True  # who raises at the first chunk cannot be asked for it again
        try:
            for chunk in self.chunks:
                self._keep(chunk)
                yield chunk
                self.passed_bytes += len(chunk)  # not where sending it fails
        except Exception as exc:
            raise _BodyFailure(exc) from exc
        self.exhausted = True

    def _keep(self, chunk: bytes) -> None:
        if self._kept is not None:
            is_little = self.passed_bytes + len(chunk) <= _KEPT_BYTES
            self._kept = [*self._kept, chunk] if is_little else None


class _BodyFailure(Exception):
    """Carries what a body's iterator raised past urllib3, which would take an OSError for its socket's."""

    def __init__(self, original: Exception) -> None:
        super().__init__(str(original))
        self.original = original


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, said but not sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | StreamBody | None = field(default=None, repr=False)
    follow_redirects: bool = False

    @property
    def is_idempotent(self) -> bool:
        """Whether the request may be sent again after a failure."""
        return self.method in {"GET", "HEAD"}


class Response:
    """An answer whose body has not been read yet. Close it, or read it whole with `json` or `body`.

    headers: found by their names in any case.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        chunks: Callable[[int], Iterator[bytes]],
        close: Callable[[], None],
        *,
        max_answer_bytes: int = 4_194_304,
        max_seconds: float = 60.0,
    ) -> None:
        self.status = status
        self.headers = headers
        self.iter_bytes = chunks
        self.close = close
        self._max_answer_bytes = max_answer_bytes
        self._max_seconds = max_seconds
        self._body: bytes | None = None

    @property
    def request_id(self) -> str | None:
        """The provider's own id of this request as it sends it; the driver's door judges it."""
        for name in ("x-request-id", "request-id", "apim-request-id", "x-goog-request-id", "cf-ray"):
            if value := self.headers.get(name):
                return value
        return None

    @property
    def length(self) -> int | None:
        """The announced body length, None for a chunked or close-delimited body."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None

    def body(self) -> bytes:
        """Read and return the whole body. Raises InvalidResponseError when it is too large or too slow."""
        if self._body is None:
            deadline = time.monotonic() + self._max_seconds
            pieces: list[bytes] = []
            size = 0
            try:
                for chunk in self.iter_bytes(65_536):
                    size += len(chunk)
                    if size > self._max_answer_bytes:
                        raise InvalidResponseError("The provider's answer is too large to be one.")
                    if time.monotonic() > deadline:
                        raise ProviderTimeoutError("The provider's answer took too long.", answered=False)
                    pieces.append(chunk)
            finally:
                self.close()
            self._body = b"".join(pieces)
        return self._body

    def json(self) -> JSONValue:
        """Parse the body. Raises InvalidResponseError when it is not JSON."""
        try:
            parsed: JSONValue = json.loads(self.body(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise InvalidResponseError(
                f"The provider answered {self.status} with something that is not JSON.",
                status_code=self.status,
                request_id=self.request_id,
            ) from exc
        return parsed


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class HTTPTransport:
    """Sends requests over pooled connections; one serves a whole process and all its threads."""

    def __init__(self, limits: TransportLimits | None = None) -> None:
        self.limits = limits = limits or TransportLimits()
        self._pools = GuardedPools(
            allow_private=limits.allow_private,
            write_timeout_seconds=limits.write_timeout_seconds,
            proxies=limits.proxies,
            ca_bundle=limits.ca_bundle,
        )
        self._timeout_of_streams = Timeout(
            connect=limits.connect_timeout_seconds, read=limits.read_timeout_seconds
        )
        self._timeout_of_calls = Timeout(
            connect=limits.connect_timeout_seconds, read=limits.call_timeout_seconds
        )

    def send(self, request: Request) -> Response:
        """Send and return the answer, whatever its status, with the body unread.

        A GET is tried again once after a failure that may pass, but not after a wait for an answer; an
        upload never, once its body was touched, unless a connection that served before was closed before it
        had the end. Redirects are followed only where the request says so,
        without credentials when the origin changes.
        """
        response = self._send_with_retry(request)
        for _ in range(_MAX_REDIRECTS):
            if not (request.follow_redirects and response.status in _REDIRECTS):
                break
            response.close()
            request = _redirected(request, response)
            response = self._send_with_retry(request)
        return response

    def _send_with_retry(self, request: Request) -> Response:
        try:
            response = self._send_once(request)
        except ProviderUnavailableError as exc:
            body = request.body
            if isinstance(body, StreamBody) and is_hang_up(exc.__cause__) and body.again():
                return self._send_once(request)
            untouched = isinstance(body, StreamBody) and not body.started
            waited = isinstance(exc, ProviderTimeoutError) and not exc.answered
            if waited or not (request.is_idempotent or untouched):
                raise
            self._wait(None)
            return self._send_once(request)
        if not request.is_idempotent or response.status not in _RETRIED_STATUSES:
            return response
        wait = retry_after_seconds(response.headers)
        if wait is not None and wait > self.limits.max_retry_wait_seconds:
            return response
        response.close()
        self._wait(wait)
        return self._send_once(request)

    def _wait(self, seconds: float | None) -> None:
        time.sleep(random.uniform(0.1, 0.4) if seconds is None else seconds)  # noqa: S311  # jitter

    def _send_once(self, request: Request) -> Response:
        body, limits = request.body, self.limits
        streaming = isinstance(body, StreamBody) or request.follow_redirects
        try:
            answer = self._pools.send(
                request.method,
                _prepared_url(request.url, tuple(request.query.items())),
                _headers(request),
                body,
                timeout=self._timeout_of_streams if streaming else self._timeout_of_calls,
                chunked=isinstance(body, StreamBody) and body.length is None,
            )
        except _BodyFailure as failure:
            raise failure.original from failure.original.__cause__
        except FOREIGN as exc:
            started = isinstance(body, StreamBody) and body.started
            raise error_of_sending(exc, request.url, body_was_read=started) from exc
        return Response(
            answer.status,
            answer.headers,
            lambda size: _iterate(answer, size),
            lambda: _close(answer),
            max_answer_bytes=limits.max_answer_bytes,
            max_seconds=limits.call_timeout_seconds,
        )


def _headers(request: Request) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "files-gateway/1", **request.headers}
    body = request.body
    if isinstance(body, StreamBody):
        if body.length is not None:
            headers["Content-Length"] = str(body.length)
    elif body is not None or not request.is_idempotent:
        headers["Content-Length"] = str(len(body or b""))
    for header in headers.items():
        check_header_validity(header)
    return headers


@lru_cache(maxsize=64)
def _prepared_url(url: str, query: tuple[tuple[str, str], ...]) -> str:
    """Return the URL as requests writes it. Uploads and lists of an account go to one, again and again."""
    return requests.Request("GET", url, params=dict(query)).prepare().url or ""


def _iterate(answer: BaseHTTPResponse, size: int) -> Iterator[bytes]:
    """Yield the body; a body that ends early raises instead of looking complete.

    `read1`-like delivery: a chunk is passed on as soon as bytes are there, not when `size` is full.
    """
    try:
        if answer.chunked:
            yield from answer.read_chunked(size, decode_content=False)
        else:
            while chunk := answer.read1(size, decode_content=False):
                yield chunk
            if answer.length_remaining:
                raise ProviderUnavailableError("The provider's answer ended early.", answered=False)
    except FOREIGN as exc:
        raise error_of_reading(exc) from exc


def _close(answer: BaseHTTPResponse) -> None:
    """Give the connection back: closed, where the body was not read to its end."""
    answer.close()
    answer.release_conn()


def _redirected(request: Request, response: Response) -> Request:
    old, new = split_url(request.url), split_url(response.headers.get("Location", ""), base=request.url)
    if new.scheme not in {"https", old.scheme} or not new.hostname or new.username or new.password:
        raise InvalidResponseError("The provider redirected to an address that cannot be trusted.")
    same_origin = (old.scheme, old.netloc) == (new.scheme, new.netloc)
    headers = {
        name: value for name, value in request.headers.items() if same_origin or name.lower() == "range"
    }
    return replace(request, url=new.geturl(), headers=headers, query={}, body=_again(request.body))


def _again(body: bytes | StreamBody | None) -> bytes | StreamBody | None:
    """Return a body that can be sent once more."""
    if not isinstance(body, StreamBody) or not body.started:
        return body
    if body.reopen is None:
        raise InvalidResponseError("The provider redirected an upload that cannot be sent twice.")
    body.chunks, body.started, body.exhausted = body.reopen(), False, False
    body.passed_bytes = 0
    return body
