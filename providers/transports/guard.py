"""urllib3 connections that reach allowed addresses only, bound their writes and notice early answers.

The check is made on the resolved address that is then connected to: checking a name first and
connecting later loses to DNS rebinding. Where a proxy connects, only the URL can be checked here: where its
name leads to is for the proxy to judge.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util.connection import create_connection

from providers.transports import deadlines, meanwhile
from providers.transports.addresses import PrivateNetworks, addresses_of, check_addresses, check_literal
from providers.transports.proxies import Proxies
from providers.transports.trust import TrustingConnection


class ProxyingAdapter(HTTPAdapter):
    """Sends through the proxy that there is for each URL, whatever the session or the environment says."""

    def __init__(self, proxies: Proxies, **kwargs: Any) -> None:
        self.proxies = proxies
        super().__init__(max_retries=0, **kwargs)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        chosen = self.proxies.by_scheme(request.url or "")
        return super().send(request, stream, timeout, verify, cert, chosen)


class GuardedAdapter(ProxyingAdapter):
    """Mounts the guarded connections in a requests session.

    requests lets the connect timeout bound the writes of a body too; `write_timeout_seconds` replaces that
    once the connection stands.
    """

    def __init__(
        self,
        *,
        allow_private: PrivateNetworks,
        write_timeout_seconds: float,
        proxies: Proxies,
        pool_size: int = 64,
    ) -> None:
        self._allow_private = allow_private
        self._pools = pool_classes(allow_private, write_timeout_seconds)
        # The operator chose the proxy, which is most often inside.
        self._pools_of_proxies = pool_classes(True, write_timeout_seconds)
        super().__init__(proxies, pool_connections=32, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools_of_proxies
        return manager

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send; what a proxy will connect to is checked as far as the URL says it."""
        if self.proxies.proxy_for(request.url or ""):
            check_literal(request.url or "", allow_private=self._allow_private)
        return super().send(request, *args, **kwargs)


class GuardedConnection(HTTPConnection):
    """Checks each address that a name leads to before it connects, and bounds writes once it is connected."""

    allow_private: PrivateNetworks
    write_timeout_seconds: float

    def _new_conn(self) -> socket.socket:
        try:
            addresses = addresses_of(self._dns_host, self.port)
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        check_addresses(
            self.host,
            addresses,
            allow_private=self.allow_private,
            is_encrypted=isinstance(self, HTTPSConnection),
        )
        last: OSError | None = None
        for address in addresses:
            try:
                return _watched(
                    create_connection(
                        (address, self.port),
                        _patience(self.timeout),
                        self.source_address,
                        self.socket_options,
                    )
                )
            except OSError as exc:  # the next address may do: a broken IPv6 route times out, IPv4 works
                last = exc
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from last
        raise NewConnectionError(self, f"Failed to establish a new connection: {last}") from last

    def connect(self) -> None:
        """Connect; from here on the socket's timeout is that of writes."""
        super().connect()
        self._bound_writes()

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request. A connection that was used before has just got the connect timeout."""
        self._bound_writes()
        super().putrequest(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 has an answer of its own
        """Await the answer. What the thread wants to do by the way is done first."""
        meanwhile.work()
        return super().getresponse()

    def _bound_writes(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.write_timeout_seconds)
            _watched(self.sock)


class WaryBody(ABC):
    """A body that is told whether its connection served before: the other side may be just closing it."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_at_hand(self) -> bool:
        """Whether it is small and nobody has to be waited for: it goes out in one piece with its head."""

    @abstractmethod
    def begin(self, *, is_used: bool) -> bool:
        """Prepare for being sent. False asks for a new connection."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Yield what is to be sent."""


class _WatchfulConnection(GuardedConnection):
    _cut = False
    _served = 0
    _keeps_head = False
    _head = b""

    def connect(self) -> None:
        super().connect()
        self._cut, self._served = False, 0

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
        """Send a request; where its body wants a connection that served nobody, on a new one.

        Behind a proxy it has to take the one that there is.
        """
        is_used = self.sock is not None and self._served > 0
        self._keeps_head, self._head = False, b""
        if isinstance(body, WaryBody):
            if not body.begin(is_used=is_used) and self.proxy is None:
                self.close()
                body.begin(is_used=False)
            self._keeps_head = body.is_at_hand
            if kwargs.get("chunked"):
                body = self._without_sent(body)
        super().request(method, url, body, *args, **kwargs)
        self._served += 1

    def _without_sent(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Send chunks in their frames, and yield those that the caller has to send.

        The caller joins each to its frame, which copies it. TLS does not send from several buffers.
        """
        sock = self.sock
        if not _is_plain(sock):
            yield from chunks
            return
        poller = _poller_of(sock)
        for chunk in chunks:
            if chunk:  # an empty one would end the body
                frame = self._taken_head() + b"%x\r\n" % len(chunk), chunk, b"\r\n"
                self._send_until_answered(sock, poller, *frame)

    def send(self, data: Any) -> None:
        """Send, unless the provider has answered already: then stop, so that the answer is read.

        On TLS a readable socket may hold session tickets instead of an answer, so there only a closed
        connection is noticed.
        """
        if self.sock is None:  # a body is touched only once there is a connection for it
            self.connect()
        if self._keeps_head:
            self._keeps_head, self._head = False, data
            return
        head = self._taken_head()
        if _is_plain(self.sock) and isinstance(data, bytes):
            self._send_until_answered(self.sock, _poller_of(self.sock), head, data)
        else:
            super().send(head + data if head else data)

    def _taken_head(self) -> bytes:
        """Return the head that is kept, if any, for once."""
        head, self._head = self._head, b""
        return head

    def _send_until_answered(self, sock: socket.socket, poller: select.poll, *buffers: bytes) -> None:
        """Send buffers as if they were one, and wait for room no longer than until the provider answers.

        Raises TimeoutError.
        """
        left: Sequence[bytes | memoryview] = buffers
        total = sum(map(len, buffers))
        while total:
            events = poller.poll(self.write_timeout_seconds * 1000)
            if not events:
                raise TimeoutError("timed out")
            if events[0][1] != select.POLLOUT:
                self._cut = True
                raise BrokenPipeError("the provider answered before the request was sent")
            try:
                sent = os.writev(sock.fileno(), left)
            except BlockingIOError:  # the room that there was is gone
                continue
            total -= sent
            if total:
                left = _behind(left, sent)

    @property
    def is_connected(self) -> bool:
        """False after an early answer: the request was cut, so the connection cannot serve another."""
        return not self._cut and super().is_connected


def _is_plain(sock: object) -> TypeGuard[socket.socket]:
    return isinstance(sock, socket.socket) and not isinstance(sock, ssl.SSLSocket)


def _poller_of(sock: socket.socket) -> select.poll:
    """Return what waits for room to send, and for the other side to say something."""
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLOUT)
    return poller


def _behind(buffers: Iterable[bytes | memoryview], sent: int) -> list[memoryview]:
    """Return what is left of buffers of which so many bytes are sent."""
    left = []
    for buffer in buffers:
        if sent < len(buffer):
            left.append(memoryview(buffer)[sent:])
        sent = max(0, sent - len(buffer))
    return left


def _watched(sock: socket.socket) -> socket.socket:
    """Return the socket, which ends with the call's deadline, if it has one."""
    if (deadline := deadlines.current()) is not None:
        deadline.watch(sock)
    return sock


def _patience(timeout: Any) -> Any:
    """Return how long a connection may take to stand: a name may have many addresses where nobody answers.

    Raises TimeoutError when the call's deadline, if it has one, is over.
    """
    deadline = deadlines.current()
    if deadline is None:
        return timeout
    if not (left := deadline.left()):
        raise TimeoutError("the time for the whole call is over")
    return left if timeout is None else min(timeout, left)


def pool_classes(allow_private: PrivateNetworks, write_timeout_seconds: float) -> dict[str, type[Any]]:
    """Return pools of guarded connections by scheme."""
    members = {"allow_private": allow_private, "write_timeout_seconds": write_timeout_seconds}
    http = type("GuardedHTTPConnection", (_WatchfulConnection,), members)
    https = type("GuardedHTTPSConnection", (_WatchfulConnection, TrustingConnection), members)
    return {
        "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
    }
