"""The broker is frozen, killed or emptied at DELETE (C8): the answer comes at once, the delete later."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, PROMPT_SECONDS, Gateway, Tenant
from tests.processes import wait_until
from tests.servers import RabbitMQ, Redis, Server
from tests.stack import Stack


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(
    request: pytest.FixtureRequest, need_service: Callable[[str], str], tmp_path: Path
) -> Iterator[Redis | RabbitMQ]:
    """A broker of this test's own."""
    server: Redis | RabbitMQ
    if request.param == "redis":
        need_service("Redis")
        server = Redis(tmp_path / "redis")
    else:
        need_service("RabbitMQ")
        server = RabbitMQ(tmp_path / "rabbitmq")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def gateway(broker: Redis | RabbitMQ, fake: FakeProvider, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose worker has one place for a message: one lost acknowledgement could block it."""
    environment = {**QUICK, "WORKER_CONCURRENCY": "1"}
    stack = Stack(tmp_path / "stack", broker_url=broker.url, environment=environment)
    with Gateway(stack, fake, parts=("web", "worker")) as gateway:
        yield gateway


def delete_promptly(tenant: Tenant, file_id: str) -> None:
    began = time.monotonic()
    answer = tenant.delete(file_id, timeout=PROMPT_SECONDS)
    assert answer.json() == {"id": file_id, "object": "file", "deleted": True}
    assert time.monotonic() - began < PROMPT_SECONDS
    assert file_id not in tenant.ids()
    assert tenant.retrieve(file_id).status_code == 404


def wait_until_held(gateway: Gateway, count: int) -> None:
    """Do once what a worker does every five seconds, and wait until the provider holds so many files."""
    gateway.shell("let_time_pass")
    gateway.stack.send_task("deliver_deletes")
    wait_until(
        lambda: len(gateway.fake.store("openai")) == count,
        seconds=PATIENCE_SECONDS,
        what=f"{count} files to be left at the provider",
    )


def test_a_delete_outlives_its_broker(gateway: Gateway, broker: Redis | RabbitMQ) -> None:
    tenant = gateway.tenant()
    files = [tenant.upload(b"content", f"{number}.txt").json()["id"] for number in range(6)]

    delete_promptly(tenant, files[0])
    wait_until_held(gateway, 5)

    broker.process.freeze()
    try:
        delete_promptly(tenant, files[1])
        delete_promptly(tenant, files[2])
    finally:
        broker.process.thaw()
    wait_until_held(gateway, 3)

    gateway.fake.script({"method": "DELETE"}, behaviours.hang(stored=True))
    delete_promptly(tenant, files[3])
    gateway.stack.send_task("deliver_deletes")  # the web server may still be sparing itself the broker
    gateway.fake.wait_until_paused()
    broker.stop()
    gateway.fake.release()  # the worker is done, and cannot say so to its broker
    gateway.fake.wait_until_idle()
    delete_promptly(tenant, files[4])  # which the worker may find without a broker
    assert tenant.upload(b"more", "more.txt").status_code == 200
    broker.start()
    wait_until_held(gateway, 2)
    if isinstance(broker, Redis):
        lose_messages(gateway, broker, tenant, files[5])
        wait_until_held(gateway, 1)
    assert gateway.shell("states", organization=tenant.organization)["copies"]["available"] >= 1


def lose_messages(gateway: Gateway, broker: Server, tenant: Tenant, file_id: str) -> None:
    """Empty the broker between a delete and its delivery."""
    gateway.stack.kill("worker")
    delete_promptly(tenant, file_id)
    with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64) == b"+OK\r\n"
    gateway.stack.start("worker")
