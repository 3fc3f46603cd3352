"""A database that stands still, as by SIGSTOP or on a host that hangs: answers come, and it heals.

Its kernel still acknowledges what it is sent and takes connections, so that only the gateway can notice.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from tests.fake_provider import FakeProvider
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Tenant
from tests.processes import descendants, wait_until
from tests.servers import PgBouncer, PostgreSQL
from tests.stack import Stack

#: What the gateway promises, and what a machine that is busy with other tests may add.
ANSWERED_SECONDS = 10 + 5


@contextmanager
def frozen(server: PostgreSQL) -> Iterator[None]:
    stopped = descendants(server.process.pid)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def database(
    need_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgreSQL]:
    need_service("PostgreSQL")
    server = PostgreSQL(tmp_path_factory.mktemp("frozen-postgresql"))
    server.prepare()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module", params=["direct", "pooler"])
def running_gateway(
    request: pytest.FixtureRequest,
    database: PostgreSQL,
    running_fake: FakeProvider,
    need_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    url = database.create_gateway_database(f"frozen_{request.param}")
    directory = tmp_path_factory.mktemp("stack")
    if request.param == "direct":
        with Gateway(Stack(directory, database_url=url, environment=QUICK), running_fake) as gateway:
            yield gateway
        return
    need_service("PgBouncer")
    pooler = PgBouncer(tmp_path_factory.mktemp("pgbouncer"), database)
    pooler.prepare()
    try:
        pooler.start()
        environment = {**QUICK, "DATABASE_BEHIND_POOLER": "true"}
        stack = Stack(directory, database_url=pooler.in_front_of(url), environment=environment)
        with Gateway(stack, running_fake) as gateway:
            yield gateway
    finally:
        pooler.stop()


def timed(call: Callable[[], requests.Response]) -> tuple[requests.Response, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def each_kind(tenant: Tenant, file_id: str) -> list[Callable[[], requests.Response]]:
    return [
        lambda: tenant.request("GET", "/v1/files"),
        lambda: tenant.retrieve(file_id),
        lambda: tenant.content(file_id),
        lambda: tenant.upload(b"new"),
        lambda: tenant.delete(file_id),
    ]


def test_requests_end_in_time_and_all_is_well_when_it_thaws(gateway: Gateway, database: PostgreSQL) -> None:
    tenant = gateway.tenant()
    file_id = tenant.upload(b"kept").json()["id"]
    calls = each_kind(tenant, file_id) * 5  # more than the pool holds connections
    with ThreadPoolExecutor(len(calls)) as clients:
        with frozen(database):
            answers = list(clients.map(timed, calls))
            assert requests.get(f"{gateway.stack.url}/healthz", timeout=10).status_code == 200
            assert requests.get(f"{gateway.stack.url}/readyz", timeout=10).status_code == 503
        assert [answer.status_code for answer, _ in answers] == [503] * len(calls)
        assert {answer.json()["error"]["code"] for answer, _ in answers} == {"database_unavailable"}
        assert all("Retry-After" in answer.headers for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < ANSWERED_SECONDS
        wait_until(gateway.stack.is_ready, seconds=PATIENCE_SECONDS, what="the gateway to be ready")
        served = list(clients.map(lambda _: tenant.request("GET", "/v1/usage").status_code, range(25)))
    assert served == [200] * 25
    gateway.recover()
    gateway.assert_no_drift()
    assert tenant.ids() <= {file_id}  # a delete without an answer may have been done


def test_a_statement_that_takes_too_long_is_ended_by_the_server(gateway: Gateway) -> None:
    """A request in a transaction has PostgreSQL's own limit, behind a pooler too."""
    tenant = gateway.tenant()
    assert tenant.upload(b"there").status_code == 200
    with gateway.locked_database():
        answer, seconds = timed(lambda: tenant.upload(b"waits for a lock"))
    assert answer.status_code == 503
    assert seconds < ANSWERED_SECONDS
    assert tenant.upload(b"goes on").status_code == 200
    gateway.recover()
    gateway.assert_no_drift()
