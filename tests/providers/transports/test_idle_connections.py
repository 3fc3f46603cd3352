"""A provider closes a connection for its idleness just as the next request goes out on it.

No upload is lost by that where its provider cannot have had all of it, and none is ever sent twice.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from providers.exceptions import ProviderUnavailableError
from providers.transports.http import Request, StreamBody
from tests.providers.transport import LOOPBACK, PatientTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MIB = 1_048_576


@dataclass
class Provider:
    """Serves a GET on each connection, and closes the first connection when a POST has so far arrived.

    posts: what arrived of each, as it was framed.
    """

    closes_after: Callable[[bytes], bool]
    posts: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener is closed when the test is over
            while True:
                connection, _ = listener.accept()
                self.connections += 1
                with connection:
                    self._serve_one(connection)

    def _serve_one(self, connection: socket.socket) -> None:
        is_first = self.connections == 1
        received = b""
        while data := connection.recv(65_536):
            received += data
            if received.startswith(b"GET") and received.endswith(b"\r\n\r\n"):
                connection.sendall(ANSWER)
                received = b""
            elif received.startswith(b"POST"):
                if is_first and self.closes_after(received):
                    break
                if is_whole(received):
                    self.posts.append(received)  # before the answer: a test then looks at once
                    received = b""
                    connection.sendall(ANSWER)
                    break
        if received:
            self.posts.append(received)
        connection.close()
        self.closed.set()


def is_whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def content(request: bytes) -> bytes:
    """Return the body of a request that came in chunks."""
    body, found = request.partition(b"\r\n\r\n")[2], b""
    while body:
        size, _, body = body.partition(b"\r\n")
        found += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return found


@contextmanager
def provider(closes_after: Callable[[bytes], bool]) -> Iterator[Provider]:
    found = Provider(closes_after)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=found.serve, args=(listener,), daemon=True).start()
        yield found


@pytest.fixture
def transport() -> PatientTransport:
    return PatientTransport(LOOPBACK)


def used(transport: PatientTransport, url: str) -> None:
    """Leave a connection behind that served."""
    assert transport.send(Request("GET", url)).body() == b"ok"


def awaiting(closed: threading.Event, *chunks: bytes) -> Iterator[bytes]:
    """Yield the first chunk, and the others when the provider has closed the connection."""
    yield chunks[0]
    assert closed.wait(10)
    yield from chunks[1:]


def has_body(request: bytes) -> bool:
    return bool(request.partition(b"\r\n\r\n")[2])


def test_an_upload_goes_out_on_another_connection(transport: PatientTransport) -> None:
    with provider(has_body) as found:
        used(transport, found.url)
        body = StreamBody(awaiting(found.closed, b"begin", b"ning", b"end"))
        assert transport.send(Request("POST", found.url, body=body)).body() == b"ok"
    assert body.exhausted
    assert found.connections == 2
    assert content(found.posts[-1]) == b"beginningend"


def test_an_upload_of_known_length_does_too(transport: PatientTransport) -> None:
    with provider(has_body) as found:
        used(transport, found.url)
        body = StreamBody(awaiting(found.closed, b"begin", b"end"), length=8)
        assert transport.send(Request("POST", found.url, body=body)).body() == b"ok"
    assert found.posts[-1].endswith(b"\r\n\r\nbeginend")


def test_other_idle_connections_are_not_trusted_either(transport: PatientTransport) -> None:
    """The second try takes none of those that wait in the pool."""
    with provider(has_body) as found:
        held = transport.send(Request("GET", found.url))
        # The provider serves one connection after the other: the second stays in its backlog, open and mute.
        pool = transport._pools._pool("http", "127.0.0.1", urlsplit(found.url).port, "")
        spare = pool._new_conn()
        spare.connect()
        spare._served = 1
        pool._put_conn(spare)
        held.body()
        body = StreamBody(awaiting(found.closed, b"begin", b"end"))
        assert transport.send(Request("POST", found.url, body=body)).body() == b"ok"
    assert content(found.posts[-1]) == b"beginend"


def test_an_upload_whose_end_was_sent_is_never_repeated(transport: PatientTransport) -> None:
    with provider(is_whole) as found:
        used(transport, found.url)
        body = StreamBody(iter([b"the whole file"]))
        with pytest.raises(ProviderUnavailableError) as caught:
            transport.send(Request("POST", found.url, body=body))
    assert not caught.value.answered
    assert (len(found.posts), found.connections) == (1, 1)


def test_nor_is_one_whose_announced_bytes_were(transport: PatientTransport) -> None:
    """The provider knows the end by the length, before we have asked the body for more."""
    with provider(is_whole) as found:
        used(transport, found.url)
        body = StreamBody(awaiting(found.closed, b"all"), length=3)
        with pytest.raises(ProviderUnavailableError):
            transport.send(Request("POST", found.url, body=body))
    assert (len(found.posts), found.connections) == (1, 1)


def test_one_that_began_on_a_new_connection_is_not(transport: PatientTransport) -> None:
    """Whoever closes that one means this upload."""
    with provider(has_body) as found:
        body = StreamBody(awaiting(found.closed, b"begin", b"end"))
        with pytest.raises(ProviderUnavailableError):
            transport.send(Request("POST", found.url, body=body))
    assert (len(found.posts), found.connections) == (1, 1)


def test_one_of_which_much_has_passed_is_not(transport: PatientTransport) -> None:
    """What is kept is bounded."""
    with provider(lambda request: len(request) > 2 * MIB) as found:
        used(transport, found.url)
        body = StreamBody(awaiting(found.closed, bytes(2 * MIB), b"end"))
        with pytest.raises(ProviderUnavailableError):
            transport.send(Request("POST", found.url, body=body))
    assert (len(found.posts), found.connections) == (1, 1)
