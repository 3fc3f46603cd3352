"""One provider that hangs keeps neither others nor the upkeep waiting; any number of beats agree."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider, Match, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Tenant
from tests.processes import Process, wait_until
from tests.stack import PROJECT, Stack

#: What hangs does so longer than this.
PROMPT_SECONDS = 20.0
EVERY_DELETE: Match = {"method": "DELETE", "times": None}
HOURLY = ("recount_usage", "prune_records", "sweep_stores")


@pytest.fixture
def gateway(fake: FakeProvider, tmp_path: Path) -> Iterator[Gateway]:
    environment = {**QUICK, "LOG_LEVEL": "DEBUG"}
    with Gateway(Stack(tmp_path, environment=environment), fake, parts=("web", "worker")) as gateway:
        yield gateway


@pytest.fixture
def hung(gateway: Gateway) -> Iterator[FakeProvider]:
    """A second provider, whose deletes are read and never answered."""
    with FakeProvider() as provider:
        provider.script(EVERY_DELETE, behaviours.hang(stored=True))
        yield provider
        provider.release()


def deletes_at(provider: FakeProvider) -> list[str]:
    return [request.path for request in provider.requests if request.method == "DELETE"]


def in_parallel(tenant: Tenant, count: int, account: str) -> list[str]:
    def upload(number: int) -> str:
        return str(tenant.upload(b"content", f"{number}.txt", account=account).json()["id"])

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(upload, range(count)))


def wait_until_deleted(gateway: Gateway, tenant: Tenant, count: int, seconds: float) -> None:
    wait_until(
        lambda: gateway.in_state(tenant, "copies", "deleted") == count,
        seconds=seconds,
        what=f"{count} deletes",
    )


def wait_for_upkeep(gateway: Gateway, name: str) -> None:
    gateway.shell("begin_upkeep", name=name)
    wait_until(lambda: gateway.shell("is_upkeep_done", name=name), seconds=PROMPT_SECONDS, what=name)


def test_sixty_deletes_at_a_hung_provider_keep_nothing_else_waiting(
    gateway: Gateway, hung: FakeProvider
) -> None:
    slow = gateway.account("slow", is_default=False, options={"base_url": hung.url("openai")})
    tenant = gateway.tenant(slow, gateway.account("quick"))
    doomed = in_parallel(tenant, 60, "slow")
    (good, expiring) = in_parallel(tenant, 2, "quick")
    for file_id in doomed:
        assert tenant.delete(file_id).status_code == 200
    hung.wait_until_paused(1)
    began = time.monotonic()
    assert tenant.delete(good).status_code == 200
    wait_until_deleted(gateway, tenant, 1, PROMPT_SECONDS)
    assert len(deletes_at(hung)) <= 3  # its share of 16 threads, none of which has given up yet

    gateway.shell("expire_file", file_id=expiring)
    for name in ("expire_files", "sweep_uploads", "sync_accounts"):
        wait_for_upkeep(gateway, name)
    wait_until_deleted(gateway, tenant, 2, PROMPT_SECONDS)
    assert time.monotonic() - began < 4 * PROMPT_SECONDS

    gateway.shell("delay_deletes", minutes=10)
    report = gateway.stack.manage("doctor", "--offline", "--json", check=False)
    findings = json.loads(report.stdout)["findings"]
    late = [
        each["detail"] for each in findings if each["area"] == "deletions" and "are late" in each["detail"]
    ]
    assert ["slow: " in detail for detail in late] == [True]
    assert next(each for each in findings if each["area"] == "worker")["level"] == "ok"

    hung.app.scripted.clear()  # it answers again
    hung.release()
    gateway.shell("let_time_pass")
    wait_until_deleted(gateway, tenant, 62, PATIENCE_SECONDS)
    tenant.assert_empty()


@contextmanager
def more_workers(gateway: Gateway, count: int) -> Iterator[list[Path]]:
    """Run more workers beside the gateway's own and yield the logs of all."""
    directory = gateway.stack.directory
    logs = [directory / f"worker-{number}.log" for number in range(count)]
    command = [sys.executable, str(PROJECT / "manage.py"), "run", "worker"]
    workers = [Process(command, log=log, environment=gateway.stack.environment) for log in logs]
    try:
        for worker in workers:
            worker.start()
        yield [directory / "worker.log", *logs]
    finally:
        for worker in workers:
            worker.kill()


def done_by(log: Path) -> list[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["work"] for line in lines if line["event"] == "upkeep_done"]


def test_of_three_beats_one_claims_each_due_time(gateway: Gateway) -> None:
    with more_workers(gateway, 2) as logs:
        for log in logs[1:]:
            wait_until(lambda log=log: "worker_began" in log.read_text(), seconds=60, what="another beat")
        before = sum(done_by(log).count(name) for log in logs for name in HOURLY)
        for _ in range(4):
            for name in HOURLY:
                gateway.shell("begin_upkeep", name=name)
            for name in HOURLY:
                wait_until(
                    lambda name=name: gateway.shell("is_upkeep_done", name=name), seconds=60, what=name
                )
        after = sum(done_by(log).count(name) for log in logs for name in HOURLY)
    assert after - before == 4 * len(HOURLY)


def test_a_worker_that_is_stopped_ends_what_it_has_in_hand(gateway: Gateway, hung: FakeProvider) -> None:
    slow = gateway.account("slow", options={"base_url": hung.url("openai")})
    tenant = gateway.tenant(slow)
    tenant.delete(tenant.upload(b"content").json()["id"])
    hung.wait_until_paused(1)
    codes: list[int] = []
    stopping = threading.Thread(target=lambda: codes.append(gateway.stack.terminate("worker")))
    stopping.start()
    wait_until(lambda: "Warm shutdown" in gateway.stack.log("worker"), seconds=30, what="the signal")
    hung.release()
    stopping.join()
    assert codes == [0]
    assert gateway.in_state(tenant, "copies", "deleted") == 1
    assert len(deletes_at(hung)) == 1


def test_without_a_broker_the_outbox_is_worked_off_all_the_same(gateway: Gateway) -> None:
    """The queue's folder cannot be read or written: no hint arrives, and the worker lives through it."""
    tenant = gateway.tenant()
    first, second = (tenant.upload(b"content", name).json()["id"] for name in ("a.txt", "b.txt"))
    queue = gateway.stack.data_dir / "broker" / "queue"
    queue.rename(queue.with_name("away"))
    queue.touch()
    lost = "Connection to broker lost"
    wait_until(
        lambda: lost in gateway.stack.log("worker"), seconds=PATIENCE_SECONDS, what="the worker to notice"
    )
    assert tenant.delete(first).status_code == 200
    wait_until_deleted(gateway, tenant, 1, PROMPT_SECONDS)
    queue.unlink()
    queue.with_name("away").rename(queue)
    assert tenant.delete(second).status_code == 200
    wait_until_deleted(gateway, tenant, 2, PROMPT_SECONDS)
    assert gateway.stack.processes["worker"].is_running
