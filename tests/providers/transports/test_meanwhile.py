"""What is done while an answer is awaited: once, surely, and in nobody else's way."""

from __future__ import annotations

import socket
import threading

import pytest

from providers.exceptions import ProviderUnavailableError
from providers.transports import meanwhile
from providers.transports.http import Request
from tests.providers.transport import LOOPBACK, PatientTransport
from tests.providers.transports.test_http import server


def test_it_is_done_when_the_request_was_sent_and_before_the_answer_comes() -> None:
    """The server answers only what was done by then."""
    done: list[str] = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        assert done_first.wait(10)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    done_first = threading.Event()

    def work() -> None:
        done.append("done")
        done_first.set()

    with server(answer) as url, meanwhile.doing(work):
        response = PatientTransport(LOOPBACK).send(Request("GET", url))
        assert (response.body(), done) == (b"ok", ["done"])
    assert done == ["done"]


def test_it_is_done_where_nothing_is_waited_for() -> None:
    done: list[str] = []
    with meanwhile.doing(lambda: done.append("done")):
        assert done == []
    assert done == ["done"]


def test_it_is_done_where_the_block_fails() -> None:
    done: list[str] = []
    with pytest.raises(KeyError), meanwhile.doing(lambda: done.append("done")):
        raise KeyError
    assert done == ["done"]


def test_its_error_is_the_blocks_and_does_not_break_the_connection() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def fail() -> None:
        raise OSError("the disk is full")  # which a transport takes for its socket's

    read: list[bytes] = []
    with server(answer) as url, pytest.raises(OSError, match="disk is full"), meanwhile.doing(fail):
        read.append(PatientTransport(LOOPBACK).send(Request("GET", url)).body())
    assert read == [b"ok"]


def test_nothing_is_left_for_the_next_call() -> None:
    done: list[str] = []
    with pytest.raises(ProviderUnavailableError), meanwhile.doing(lambda: done.append("done")):
        PatientTransport(LOOPBACK).send(Request("POST", "http://127.0.0.1:1/"))
    meanwhile.work()
    assert done == ["done"]
