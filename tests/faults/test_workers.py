"""Deletes whose worker dies, whose message is lost, late or doubled, whose lease is taken over (C9-C13)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from tests.fake_provider import FakeProvider, Match, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Shell, Tenant, sha256_at
from tests.processes import Process, wait_until
from tests.stack import PROJECT, Stack

DELETE: Match = {"method": "DELETE", "path": "/files/"}


@pytest.fixture(scope="session")
def worker_gateway(running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    stack = Stack(tmp_path_factory.mktemp("worker"), environment=QUICK)
    with Gateway(stack, running_fake, parts=("web", "worker")) as gateway:
        yield gateway


@pytest.fixture
def gateway(worker_gateway: Gateway, fake: FakeProvider) -> Gateway:
    """Web server and worker, whose outbox looks every five seconds, and at once when a test says so."""
    worker_gateway.shell("retire_accounts")
    if not worker_gateway.stack.processes["worker"].is_running:
        worker_gateway.stack.start("worker")
    return worker_gateway


def deletes_seen(gateway: Gateway) -> list[str]:
    """Return the path of every DELETE that reached the provider."""
    return [request.path for request in gateway.fake.requests if request.method == "DELETE"]


def wait_until_deleted(gateway: Gateway, tenant: Tenant, count: int = 1) -> None:
    wait_until(
        lambda: gateway.in_state(tenant, "copies", "deleted") == count,
        seconds=PATIENCE_SECONDS,
        what="the delete to be done",
    )


def uploaded(tenant: Tenant, name: str = "a.txt") -> str:
    return str(tenant.upload(b"content", name).json()["id"])


@pytest.mark.parametrize("is_done", [False, True], ids=["before the provider", "after the provider"])
def test_a_worker_killed_in_mid_delete_is_made_up_for(gateway: Gateway, is_done: bool) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.fake.script(DELETE, behaviours.hang(stored=is_done))
    assert tenant.delete(file_id).json() == {"id": file_id, "object": "file", "deleted": True}
    gateway.fake.wait_until_paused()
    gateway.stack.kill("worker")
    gateway.fake.release()
    gateway.fake.wait_until_idle()
    tenant.assert_empty()
    assert bool(sha256_at(gateway.fake)) is not is_done

    gateway.stack.start("worker")
    gateway.shell("let_time_pass")
    gateway.stack.send_task("deliver_deletes")
    wait_until_deleted(gateway, tenant)
    assert sha256_at(gateway.fake) == {}
    assert gateway.in_state(tenant, "files", "deleted") == 1
    assert len(deletes_seen(gateway)) == 2
    tenant.assert_empty()


def test_a_lost_message_only_delays(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.stack.kill("worker")
    tenant.delete(file_id)
    for message in (gateway.stack.data_dir / "broker" / "queue").iterdir():
        message.unlink()
    gateway.stack.start("worker")
    tenant.assert_empty()
    gateway.stack.send_task("deliver_deletes")
    wait_until_deleted(gateway, tenant)
    assert sha256_at(gateway.fake) == {}


def test_parallel_and_late_deliveries_have_one_effect(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.fake.script(DELETE, behaviours.hang(stored=True))
    tenant.delete(file_id)
    gateway.fake.wait_until_paused()  # the worker is at it
    [copy] = gateway.shell("copies", organization=tenant.organization)
    assert [gateway.shell("deliver", copy=copy["pk"]) for _ in range(5)] == [None] * 5
    gateway.fake.release()
    wait_until_deleted(gateway, tenant)
    assert gateway.shell("deliver", copy=copy["pk"]) is None
    assert len(deletes_seen(gateway)) == 1
    assert gateway.shell("audit_results", organization=tenant.organization)["file.delete ok"] == 1


def test_the_result_of_a_worker_that_lost_its_lease_does_not_count(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.fake.script(DELETE, behaviours.hang())  # the first worker will be told 504
    tenant.delete(file_id)
    gateway.fake.wait_until_paused()
    [copy] = gateway.shell("copies", organization=tenant.organization)
    gateway.shell("let_time_pass")
    assert gateway.shell("deliver", copy=copy["pk"]) == "deleted"
    gateway.fake.release()
    gateway.fake.wait_until_idle()
    [late] = gateway.shell("copies", organization=tenant.organization)
    assert (late["state"], late["last_error"]) == ("deleted", "")
    assert gateway.in_state(tenant, "files", "deleted") == 1


def test_a_late_success_does_not_hide_a_newer_attempt(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.fake.script(DELETE, behaviours.hang(stored=True))
    tenant.delete(file_id)
    gateway.fake.wait_until_paused()
    [copy] = gateway.shell("copies", organization=tenant.organization)
    gateway.shell("let_time_pass")
    gateway.fake.script(DELETE, behaviours.hang())
    other = Shell(gateway.stack)
    try:
        second = threading.Thread(target=other, args=("deliver",), kwargs={"copy": copy["pk"]})
        second.start()
        gateway.fake.wait_until_paused(2)
        gateway.fake.release()  # the first one's success and the second one's failure
        second.join()
    finally:
        other.close()
    gateway.fake.wait_until_idle()
    gateway.shell("let_time_pass")
    gateway.stack.send_task("deliver_deletes")
    wait_until_deleted(gateway, tenant)  # a 404 is a success
    assert sha256_at(gateway.fake) == {}


@pytest.mark.parametrize(
    ("order", "arguments"),
    [("spoil_credentials", {}), ("rename_driver", {"driver": "no-such-driver"})],
    ids=["undecryptable key", "driver gone"],
)
def test_a_poisoned_row_does_not_block_others(
    gateway: Gateway, order: str, arguments: dict[str, str]
) -> None:
    poisoned = gateway.account(is_default=False)
    tenant = gateway.tenant(poisoned, gateway.account())
    gateway.stack.kill("worker")
    bad = tenant.upload(b"bad", "bad.txt", account=poisoned["name"]).json()["id"]
    good = [uploaded(tenant, f"{number}.txt") for number in range(5)]
    for file_id in (bad, *good):
        assert tenant.delete(file_id).status_code == 200
    gateway.shell(order, account=poisoned["name"], **arguments)
    gateway.stack.start("worker")
    gateway.stack.send_task("deliver_deletes")
    wait_until_deleted(gateway, tenant, len(good))
    assert set(sha256_at(gateway.fake)) == {bad}

    gateway.shell("age_deletes", hours=27)
    gateway.shell("let_time_pass")
    gateway.shell("deliver_deletes")
    assert gateway.in_state(tenant, "copies", "dead") == 1
    assert "file.delete dead" in gateway.shell("audit_results", organization=tenant.organization)
    tenant.assert_empty()


def test_an_account_that_cannot_be_searched_does_not_block_others(gateway: Gateway) -> None:
    broken = gateway.account(is_default=False)
    tenant = gateway.tenant(broken, gateway.account())
    for account in (broken["name"], None):
        gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.store_then_drop())
        assert tenant.upload(b"lost", f"lost-{account}.txt", account=account).status_code == 502
    gateway.shell("spoil_credentials", account=broken["name"])
    gateway.recover()
    assert [stored.filename for stored in gateway.fake.store("openai")] == [f"lost-{broken['name']}.txt"]
    assert gateway.in_state(tenant, "copies", "unconfirmed") == 1


def test_two_workers_and_a_backlog_delete_each_file_once(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    gateway.stack.kill("worker")
    for number in range(20):
        tenant.delete(uploaded(tenant, f"{number}.txt"))
    other = Process(
        [sys.executable, str(PROJECT / "manage.py"), "run", "worker"],
        log=gateway.stack.directory / "other-worker.log",
        environment=gateway.stack.environment,
    )
    try:
        other.start()
        gateway.stack.start("worker")
        wait_until_deleted(gateway, tenant, 20)
    finally:
        other.kill()
    assert sha256_at(gateway.fake) == {}
    assert len(deletes_seen(gateway)) == 20
    tenant.assert_empty()


def test_a_delete_that_fails_is_tried_again(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant)
    gateway.fake.script(DELETE, behaviours.store_then_drop())
    assert tenant.delete(file_id).status_code == 200
    assert tenant.delete(file_id).status_code == 404

    def is_put_off() -> bool:
        [copy] = gateway.shell("copies", organization=tenant.organization)
        return bool(copy["attempts"] == 1 and copy["last_error"])

    wait_until(is_put_off, seconds=PATIENCE_SECONDS, what="the first attempt to fail")
    gateway.shell("let_time_pass")
    assert gateway.shell("deliver_deletes") == {"deleted": 1}
    assert sha256_at(gateway.fake) == {}
    tenant.assert_empty()
