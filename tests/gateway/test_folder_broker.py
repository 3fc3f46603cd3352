"""The folder that is the broker, while its disk is full and afterwards."""

from __future__ import annotations

import resource
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError, OperationalError
from kombu.simple import SimpleQueue

from gateway.connections import broker_transport_options


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SimpleQueue]:
    options = broker_transport_options("filesystem://localhost", tmp_path)
    with Connection("filesystem://localhost", transport_options=options) as connection:
        yield opened(connection, f"q{secrets.token_hex(4)}")  # kombu remembers what a process has bound


def opened(connection: Connection, name: str, exchange: str = "") -> SimpleQueue:
    return connection.SimpleQueue(Queue(name, Exchange(exchange or name), routing_key=name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "broker" / "queue"


@contextmanager
def no_room() -> Iterator[None]:
    """Let this process write no byte to a file: EFBIG stands for ENOSPC."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def taken(queue: SimpleQueue) -> list[object]:
    """Take every message there is."""
    messages: list[object] = []
    try:
        while True:
            message = queue.get_nowait()
            message.ack()
            messages.append(message.payload)
    except Empty:
        return messages


def test_messages_are_taken_in_order_and_once(queue: SimpleQueue, folder: Path) -> None:
    for number in range(3):
        queue.put({"number": number})
    assert [message["number"] for message in taken(queue)] == [0, 1, 2]  # type: ignore[index]
    assert taken(queue) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "cut", "binary", "deep"]
)
def test_a_broken_message_is_set_aside_and_the_next_is_taken(
    queue: SimpleQueue, folder: Path, content: bytes
) -> None:
    broken = folder / f"0_broken.{queue.queue.name}.msg"
    broken.write_bytes(content)
    queue.put("whole")
    assert taken(queue) == ["whole"]
    assert [file.name for file in folder.iterdir()] == [f"{broken.name}.broken"]


def test_a_full_disk_refuses_a_message_and_leaves_nothing_of_it(queue: SimpleQueue, folder: Path) -> None:
    with no_room(), pytest.raises((ChannelError, OperationalError)):
        queue.put("lost")
    assert list(folder.iterdir()) == []
    queue.put("kept")
    assert taken(queue) == ["kept"]


def test_a_table_of_queues_that_was_cut_is_written_again(tmp_path: Path, queue: SimpleQueue) -> None:
    exchange = queue.queue.exchange.name
    (tmp_path / "broker" / "control" / f"{exchange}.exchange").write_bytes(b"")
    again = opened(queue.channel.connection.client, f"q{secrets.token_hex(4)}", exchange)
    again.put("whole")
    assert taken(again) == ["whole"]
