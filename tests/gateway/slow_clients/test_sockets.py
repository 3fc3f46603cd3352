"""What Linux shows of accepted connections: real sockets on loopback."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from typing import NamedTuple

import pytest

from gateway.slow_clients import sockets
from gateway.slow_clients.sockets import Reading
from tests.processes import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux shows")


class Pair(NamedTuple):
    client: socket.socket
    server: socket.socket


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("", 0), family=request.param))
        host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
        client = stack.enter_context(socket.create_connection((host, listener.getsockname()[1])))
        server, _ = listener.accept()
        yield Pair(client, stack.enter_context(server))


def reading_of(server: socket.socket) -> Reading:
    (reading,) = [one for one in sockets.accepted() if one.fd == server.fileno()]
    return reading


def fill(server: socket.socket) -> int:
    """Send until no more goes; return how many bytes went."""
    server.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += server.send(b"x" * 65_536)
    return sent


def test_this_system_can_be_read() -> None:
    assert sockets.are_readable()


def test_only_accepted_connections_are_read(pair: Pair) -> None:
    ours = {os.fstat(one.fileno()).st_ino for one in pair}
    assert [one.inode for one in sockets.accepted() if one.inode in ours] == [
        os.fstat(pair.server.fileno()).st_ino
    ]


def test_a_new_connection_has_moved_nothing(pair: Pair) -> None:
    reading = reading_of(pair.server)
    assert (reading.received, reading.unread, reading.sent, reading.untaken) == (0, 0, 0, 0)
    assert reading.is_drained
    assert reading.address == pair.client.getsockname()[0]


def test_bytes_are_counted_as_they_come_and_as_they_are_read(pair: Pair) -> None:
    pair.client.sendall(b"x" * 1_000)
    wait_until(lambda: reading_of(pair.server).received == 1_000, seconds=5, what="the bytes to arrive")
    assert reading_of(pair.server).unread == 1_000
    pair.server.recv(600)
    assert (reading_of(pair.server).received, reading_of(pair.server).unread) == (1_000, 400)


def test_what_a_client_does_not_take_waits(pair: Pair) -> None:
    sent = fill(pair.server)
    reading = reading_of(pair.server)
    assert reading.sent == sent
    assert 0 < reading.untaken <= sent


def test_an_end_is_heard_on_both_sides(pair: Pair) -> None:
    assert sockets.shut(reading_of(pair.server), resets=False)
    assert (pair.server.recv(1), pair.client.recv(1)) == (b"", b"")


@pytest.mark.parametrize("resets", [True, False])
def test_a_reset_throws_away_what_was_not_taken(pair: Pair, resets: bool) -> None:
    sent = fill(pair.server)
    assert sockets.shut(reading_of(pair.server), resets=resets)
    pair.server.close()
    taken = 0
    with pytest.raises(ConnectionResetError) if resets else nullcontext():
        while data := pair.client.recv(65_536):
            taken += len(data)
    assert (taken == sent) is not resets


def test_a_descriptor_that_means_something_else_by_now_is_left_alone(pair: Pair) -> None:
    stale = reading_of(pair.server)
    pair.server.close()
    with socket.create_server(("127.0.0.1", 0)) as other:  # the lowest free descriptor is given first
        assert not sockets.shut(replace(stale, fd=other.fileno()), resets=True)
    assert not sockets.shut(stale, resets=True)
