"""kill -9 in the middle of a delivery: what happened is told all the same, and at least once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from tests.faults.gateway import Gateway, Shell, ShellError
from tests.files_app.receiver import Receiver, receiving
from tests.processes import wait_until


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
