"""Raw sockets against the running server: what no client library sends."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.files_app.forms import BOUNDARY, encode, file_part, purpose_part
from tests.processes import wait_until
from tests.sdk.conftest import Gateway

SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FORM = encode([purpose_part(), file_part(b"x" * 100_000, "raw.txt")])


class Connection:
    """A connection that is read until it holds what a test waits for."""

    def __init__(self, gateway: Gateway) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.stack.port), timeout=30)
        self.received = b""

    def send(self, *pieces: bytes) -> Connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what it answered may still be read
            for piece in pieces:
                self._socket.sendall(piece)
        return self

    def answers(self, count: int) -> list[int]:
        """Read until `count` final answers have come or the server closes; return their statuses."""
        while len(self._statuses()) < count and self._read():
            pass
        return self._statuses()

    def rest(self) -> list[int]:
        """End our side, read until the server closes, and return all statuses."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        while self._read():
            pass
        return self._statuses()

    def _read(self) -> bool:
        try:
            data = self._socket.recv(65_536)
        except ConnectionResetError:
            return False
        self.received += data
        return bool(data)

    def _statuses(self) -> list[int]:
        """Return the statuses of complete final answers."""
        found, rest = [], self.received
        while b"\r\n\r\n" in rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if status == 100:
                continue
            if length and len(rest) < int(length[1]):
                break
            rest = rest[int(length[1]) if length else 0 :]
            found.append(status)
        return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def connection(gateway: Gateway) -> Iterator[Connection]:
    opened = Connection(gateway)
    yield opened
    opened.close()


def head(
    gateway: Gateway,
    *lines: str,
    method: str = "POST",
    path: str = "/v1/files",
    key: str = "",
    version: str = "1.1",
) -> bytes:
    content_type = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    all_lines = [
        f"{method} {path} HTTP/{version}",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key or gateway.api_key}",
        *([content_type] if method == "POST" else []),
        *lines,
    ]
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode()


def get(gateway: Gateway, path: str = "/v1/usage", *lines: str, version: str = "1.1") -> bytes:
    return head(gateway, *lines, method="GET", path=path, version=version)


def chunked(body: bytes, size: int = 7_001) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


def usage(gateway: Gateway) -> dict[str, int]:
    opened = Connection(gateway)
    try:
        opened.send(get(gateway, "/v1/usage", "Connection: close")).answers(1)
        answer: dict[str, int] = json.loads(opened.received.split(b"\r\n\r\n", 1)[1])
        return answer
    finally:
        opened.close()


def test_a_wrong_key_is_refused_before_a_byte_of_the_body_is_sent(
    gateway: Gateway, connection: Connection
) -> None:
    connection.send(head(gateway, "Content-Length: 536870912", key="wrong"))
    assert connection.answers(1) == [401]


def test_a_client_that_waits_for_100_is_refused_without_it(gateway: Gateway, connection: Connection) -> None:
    connection.send(head(gateway, "Content-Length: 536870912", "Expect: 100-continue", key="wrong"))
    assert connection.answers(1) == [401]
    assert b"100 Continue" not in connection.received


def test_a_client_that_waits_for_100_gets_it(gateway: Gateway, connection: Connection) -> None:
    connection.send(head(gateway, f"Content-Length: {len(FORM)}", "Expect: 100-continue"))
    while b"100 Continue" not in connection.received:
        assert connection._read()
    connection.send(FORM)
    assert connection.answers(1) == [200]


def test_an_announced_file_over_the_limit_is_refused_at_once(
    gateway: Gateway, connection: Connection
) -> None:
    connection.send(head(gateway, "Content-Length: 600000000"))
    assert connection.answers(1) == [413]


def test_a_chunked_upload(gateway: Gateway, connection: Connection) -> None:
    connection.send(head(gateway, "Transfer-Encoding: chunked"), chunked(FORM))
    assert connection.answers(1) == [200]
    assert b'"bytes": 100000' in connection.received


def test_a_connection_serves_on_after_an_error(gateway: Gateway, connection: Connection) -> None:
    connection.send(get(gateway, "/v1/files/unknown")).answers(1)
    connection.send(get(gateway)).answers(2)
    connection.send(get(gateway, "/v1/nothing"))
    assert connection.answers(3) == [404, 200, 404]


def test_http_1_0(gateway: Gateway, connection: Connection) -> None:
    connection.send(get(gateway, version="1.0"))
    assert connection.answers(1) == [200]


@pytest.mark.parametrize("key", ["wrong", ""])
def test_an_unread_body_is_never_taken_for_a_request(
    gateway: Gateway, connection: Connection, key: str
) -> None:
    """Refused by its key, or by its first bytes: what is left of the body is not the next request."""
    body = SMUGGLED * 500
    connection.send(head(gateway, f"Content-Length: {len(body)}", key=key), body)
    assert connection.answers(1) == [401 if key else 400]
    assert connection.rest() == [401 if key else 400]
    assert "smuggled" not in gateway.stack.log("web")


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 60"),
        ("Content-Length: +5",),
        ("Content-Length: 5, 60",),
        ("Content-Length: -1",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: identity, chunked",),
        ("Content-Length: 0x5",),
    ],
)
def test_two_parsers_cannot_be_made_to_disagree(
    gateway: Gateway, connection: Connection, lines: tuple[str, ...]
) -> None:
    connection.send(head(gateway, *lines), b"0\r\n\r\n", SMUGGLED)
    statuses = connection.rest()
    assert all(400 <= status < 600 for status in statuses)
    assert "smuggled" not in gateway.stack.log("web")


def test_a_content_length_that_is_too_small_cuts_the_form(gateway: Gateway, connection: Connection) -> None:
    connection.send(head(gateway, f"Content-Length: {len(FORM) - 40}"), FORM[:-40], SMUGGLED[:0])
    assert connection.answers(1) == [400]
    assert b"incomplete_body" in connection.received


@pytest.mark.parametrize("line", ["X-A: a\0b", "X-A\0: b", "no colon", "Host: evil.example"])
def test_a_malformed_head(gateway: Gateway, connection: Connection, line: str) -> None:
    request = get(gateway, "/v1/usage", line)
    if line.startswith("Host"):
        request = request.replace(b"Host: 127.0.0.1\r\n", b"")
    connection.send(request)
    assert connection.answers(1) in ([400], [])


@pytest.mark.parametrize("size", ["zz", "-1", "fffffffffffffffff", "7; ext=1\r\nX"])
def test_a_malformed_chunk_ends_the_upload(gateway: Gateway, connection: Connection, size: str) -> None:
    connection.send(head(gateway, "Transfer-Encoding: chunked"), f"{size}\r\n".encode(), FORM[:100])
    assert all(status >= 400 for status in connection.rest())
    wait_until(
        lambda: usage(gateway)["reserved_bytes"] == 0, seconds=30, what="the reservation to be returned"
    )


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("account", ["local", "openai"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.9999])
def test_a_client_that_vanishes_leaves_nothing_behind(
    gateway: Gateway, account: str, part: float, is_chunked: bool
) -> None:
    before = usage(gateway)
    name = f"vanish-{account}-{part}-{is_chunked}.txt"
    form = encode([purpose_part(), file_part(b"y" * 400_000, name)])
    body = chunked(form) if is_chunked else form
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(form)}"
    opened = Connection(gateway)
    disconnects = gateway.stack.log("web").count("client_disconnected")
    opened.send(head(gateway, length, f"x-tfy-provider-name: {account}"), body[: int(len(body) * part)])
    opened.close()

    def is_seen() -> bool:
        return gateway.stack.log("web").count("client_disconnected") > disconnects

    wait_until(is_seen, seconds=30, what="the server to see that the client is gone")
    wait_until(lambda: usage(gateway) == before, seconds=30, what="the reservation to be returned")
    gateway.fake.wait_until_idle()
    assert all(stored.filename != name for stored in gateway.fake.store("openai"))


def test_a_client_that_leaves_a_download_frees_the_provider(gateway: Gateway) -> None:
    planted = gateway.fake.add_file("openai", filename="big.bin", purpose="batch", content=bytes(48 * 2**20))
    opened = Connection(gateway)
    opened.send(get(gateway, f"/v1/files/{planted.remote_id}/content", "x-tfy-provider-name: openai"))
    assert opened._read()
    assert b"HTTP/1.1 200" in opened.received
    opened.close()
    gateway.fake.wait_until_idle()
