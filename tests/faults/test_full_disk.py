"""No process can write to a file any more: reads go on, writes are refused, and all of it heals (C6, C7).

A limit on the size of files stands for the full disk: it can be set for processes that run, everywhere, and
refuses the database, the broker's folder, the metrics, the spool and the log alike.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.fake_provider import FakeProvider
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Tenant
from tests.processes import descendants, wait_until
from tests.stack import Part, Stack

PARTS: tuple[Part, ...] = ("web", "worker")


@pytest.fixture(scope="module")
def running_gateway(
    running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    stack = Stack(tmp_path_factory.mktemp("stack"), environment=QUICK)
    with Gateway(stack, running_fake, parts=PARTS) as gateway:
        yield gateway


def processes(gateway: Gateway) -> set[int]:
    return {pid for part in PARTS for pid in descendants(gateway.stack.processes[part].pid)}


@contextmanager
def full_disk(gateway: Gateway) -> Iterator[None]:
    def limit(size: int) -> None:
        for pid in processes(gateway):
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    limit(0)
    try:
        yield
    finally:
        limit(resource.RLIM_INFINITY)


def assert_refused(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] in {"storage_full", "database_unavailable"}
    assert "Retry-After" in answer.headers


def assert_reads(tenant: Tenant, file_id: str, content: bytes) -> None:
    assert file_id in tenant.ids()
    assert tenant.retrieve(file_id).status_code == 200
    answer = tenant.content(file_id)
    assert answer.content == content, (answer.status_code, answer.text)
    for path in "/healthz", "/metrics":
        assert requests.get(f"{tenant.url}{path}", timeout=PATIENCE_SECONDS).status_code == 200, path


def log_lines(log: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]


@pytest.mark.parametrize("where", ["local", "account"], ids=["disk", "provider"])
def test_reads_go_on_writes_are_refused_and_all_heals(gateway: Gateway, where: str) -> None:
    describe: Callable[[], dict[str, object]] = getattr(gateway, where)
    tenant = gateway.tenant(describe())
    kept, gone = (tenant.upload(content).json()["id"] for content in (b"kept", b"gone"))
    assert_reads(tenant, kept, b"kept")
    web = descendants(gateway.stack.processes["web"].pid)
    with full_disk(gateway):
        for _ in range(3):
            assert_refused(tenant.upload(b"new"))
            assert_refused(tenant.delete(gone))
            assert_reads(tenant, kept, b"kept")
    assert tenant.delete(gone).status_code == 200
    new = tenant.upload(b"new").json()["id"]
    wait_until(
        lambda: gateway.in_state(tenant, "copies", "deleting") == 0,
        seconds=PATIENCE_SECONDS,
        what="the worker to delete at the provider",
    )
    assert descendants(gateway.stack.processes["web"].pid) == web
    gateway.recover()
    tenant.assert_holds({kept: b"kept", new: b"new"})
    gateway.assert_no_drift()
    lost = [line for line in log_lines(gateway.stack.log("web")) if line.get("event") == "log_lines_lost"]
    assert lost, "the log says that it has a gap"


def test_a_message_that_nobody_can_read_ends_no_worker(gateway: Gateway) -> None:
    folder: Path = gateway.stack.data_dir / "broker" / "queue"
    before = gateway.stack.processes["worker"].pid
    broken = folder / "0_cut.celery.msg"
    broken.write_bytes(b"")
    wait_until(lambda: not broken.exists(), seconds=PATIENCE_SECONDS, what="the worker to set it aside")
    tenant = gateway.tenant()
    file_id = tenant.upload(b"content").json()["id"]
    assert tenant.delete(file_id).status_code == 200
    wait_until(
        lambda: gateway.in_state(tenant, "copies", "deleting") == 0,
        seconds=PATIENCE_SECONDS,
        what="the worker to delete at the provider",
    )
    assert gateway.stack.processes["worker"].is_running
    assert gateway.stack.processes["worker"].pid == before
