"""kill -9 in the middle of a delivery: what happened is told all the same, and not twice without reason."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.fake_provider import FakeProvider
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Shell, ShellError, Tenant
from tests.files_app.receiver import Received, Receiver, receiving
from tests.processes import Process, wait_until
from tests.stack import PROJECT, Stack


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_delivery_that_is_killed_is_made_again(gateway: Gateway, receiver: Receiver) -> None:
    tenant = gateway.tenant()
    secret = gateway.shell("make_webhook", organization=tenant.organization, url=receiver.url)
    file_id = tenant.upload(b"told").json()["id"]
    receiver.hang = threading.Event()
    dying = Shell(gateway.stack)

    def deliver() -> None:
        with contextlib.suppress(ShellError):
            dying("deliver_webhooks", organization=tenant.organization)

    worker = threading.Thread(target=deliver)
    worker.start()
    wait_until(lambda: receiver.received, seconds=30, what="the delivery to begin")
    dying.kill()
    worker.join()
    dying.close()
    receiver.hang.set()
    assert gateway.shell("deliver_webhooks", organization=tenant.organization) == []  # its lease holds
    gateway.shell("end_webhook_leases")
    assert gateway.shell("deliver_webhooks", organization=tenant.organization) == ["delivered"]
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert Webhook(secret).verify(second.body, second.headers)["data"]["id"] == file_id
    assert gateway.shell("deliver_webhooks", organization=tenant.organization) == []


# -- real workers on PostgreSQL --------------------------------------------------------------------------


@pytest.fixture
def at_work(postgresql_url: str, fake: FakeProvider, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a worker."""
    stack = Stack(tmp_path, database_url=postgresql_url)
    with Gateway(stack, fake, parts=("web", "worker")) as gateway:
        yield gateway


@contextlib.contextmanager
def second_worker(stack: Stack) -> Iterator[None]:
    command = [sys.executable, str(PROJECT / "manage.py"), "run", "worker"]
    process = Process(command, log=stack.directory / "second.log", environment=stack.environment)
    process.start()
    try:
        wait_until(lambda: "worker_began" in process.output(), seconds=PATIENCE_SECONDS, what="a worker")
        yield
    finally:
        process.kill()


def signature(secret: str, received: Received) -> str:
    """Sign what came as the specification of Standard Webhooks says."""
    signed = ".".join([received.headers["webhook-id"], received.headers["webhook-timestamp"], ""]).encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, signed + received.body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(made).decode()


def upload(tenant: Tenant, count: int) -> set[str]:
    return {tenant.upload(b"%d" % number).json()["id"] for number in range(count)}


def told(receiver: Receiver) -> Counter[str]:
    """Return how often each file was told of."""
    return Counter(each.message["data"]["id"] for each in list(receiver.received))


def test_what_two_workers_tell_is_told_once_each_and_to_its_own(at_work: Gateway, receiver: Receiver) -> None:
    tenant, other = at_work.tenant(), at_work.tenant()
    with receiving() as theirs, second_worker(at_work.stack):
        secret = at_work.shell("make_webhook", organization=tenant.organization, url=receiver.url)
        at_work.shell("make_webhook", organization=other.organization, url=theirs.url)
        mine, others = upload(tenant, 40), upload(other, 5)
        for to, ids in (receiver, mine), (theirs, others):
            wait_until(lambda: set(told(to)) == ids, seconds=PATIENCE_SECONDS, what="all events")  # noqa: B023
            assert set(told(to).values()) == {1}
    assert all(each.headers["webhook-signature"] == signature(secret, each) for each in receiver.received)
    assert secret.removeprefix("whsec_") not in at_work.stack.log("worker") + at_work.stack.log("web")


def test_a_worker_that_is_killed_in_mid_delivery_loses_nothing(at_work: Gateway, receiver: Receiver) -> None:
    tenant = at_work.tenant()
    at_work.shell("make_webhook", organization=tenant.organization, url=receiver.url)
    receiver.hang = threading.Event()
    ids = upload(tenant, 10)
    wait_until(lambda: receiver.received, seconds=PATIENCE_SECONDS, what="a delivery to begin")
    at_work.stack.kill("worker")
    [begun] = told(receiver)  # an endpoint has one at a time
    receiver.hang.set()
    receiver.hang = None
    at_work.shell("end_webhook_leases")
    at_work.stack.start("worker")
    wait_until(lambda: set(told(receiver)) == ids, seconds=PATIENCE_SECONDS, what="all events")
    wait_until(lambda: told(receiver)[begun] == 2, seconds=PATIENCE_SECONDS, what="what was cut off")
    assert {count for file_id, count in told(receiver).items() if file_id != begun} == {1}
