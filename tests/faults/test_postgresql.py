"""PostgreSQL stops, or its answers get lost, at every point of an upload (C3, C4)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Tenant, sha256_at
from tests.faults.proxy import FaultProxy
from tests.faults.wire import Wire, form, upload_head
from tests.processes import wait_until
from tests.servers import PostgreSQL
from tests.stack import Stack

CONTENT = b"0123456789abcdef" * 80_000


class MortalPostgreSQL(PostgreSQL):
    """A PostgreSQL that is stopped and started."""

    def crash(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: no transaction is finished, the next start recovers."""
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not self.process.is_running, seconds=PATIENCE_SECONDS, what="PostgreSQL to end")


@pytest.fixture(scope="module")
def database(
    need_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MortalPostgreSQL]:
    need_service("PostgreSQL")
    server = MortalPostgreSQL(tmp_path_factory.mktemp("own-postgresql"))
    server.prepare()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def proxy(database: MortalPostgreSQL) -> Iterator[FaultProxy]:
    with FaultProxy(database.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def running_gateway(
    database: MortalPostgreSQL,
    proxy: FaultProxy,
    running_fake: FakeProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    url = database.create_gateway_database("faults").replace(f":{database.port}/", f":{proxy.port}/")
    stack = Stack(tmp_path_factory.mktemp("stack"), database_url=url, environment=QUICK)
    with Gateway(stack, running_fake) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: Gateway, fake: FakeProvider, proxy: FaultProxy) -> Gateway:
    proxy.heal()
    wait_until(running_gateway.stack.is_ready, seconds=PATIENCE_SECONDS, what="the gateway to be ready")
    running_gateway.reopen_shell()
    running_gateway.shell("retire_accounts")
    return running_gateway


def assert_served(tenant: Tenant) -> None:
    """As soon as the database accepts connections, nothing is left of its absence."""
    assert [tenant.request("GET", "/v1/usage").status_code for _ in range(5)] == [200] * 5


class Answer:
    """The answer to a request that runs beside the test."""

    def __init__(self, call: Callable[[], requests.Response]) -> None:
        self._answers: list[requests.Response] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(call()))
        self._thread.start()

    def wait(self) -> requests.Response:
        self._thread.join(PATIENCE_SECONDS)
        assert self._answers, "no answer"
        return self._answers[0]


def assert_unavailable(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "database_unavailable"
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("is_known", [False, True], ids=["at auth", "at reserve"])
def test_without_a_database_the_answer_comes_before_the_body(
    gateway: Gateway, database: MortalPostgreSQL, is_known: bool
) -> None:
    tenant = gateway.tenant()
    if is_known:
        assert tenant.request("GET", "/v1/files").status_code == 200  # the key is remembered for seconds
    database.crash()
    try:
        with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
            wire.send(upload_head(tenant.key, 400_000_000))
            answer = wire.answer()
        assert answer.status == 503
        assert b"database_unavailable" in answer.body
        assert_unavailable(tenant.request("GET", "/v1/files"))
        assert requests.get(f"{gateway.stack.url}/healthz", timeout=10).status_code == 200
        assert requests.get(f"{gateway.stack.url}/readyz", timeout=10).status_code == 503
    finally:
        database.start()
    assert_served(tenant)
    assert [request for request in gateway.fake.requests if request.method == "POST"] == []
    gateway.reopen_shell()
    gateway.recover()
    tenant.assert_empty()


def test_a_database_that_is_away_while_bytes_move_is_not_noticed(
    gateway: Gateway, database: MortalPostgreSQL
) -> None:
    tenant = gateway.tenant()
    body = form(CONTENT)
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(upload_head(tenant.key, len(body)) + body[:1_000])
        gateway.wait_for_uploads(tenant, 1)
        database.crash()
        try:
            wire.send(body[1_000:])
            wait_until(
                lambda: any(request.method == "POST" for request in gateway.fake.requests),
                seconds=PATIENCE_SECONDS,
                what="bytes to reach the provider",
            )
        finally:
            database.start()
        answer = wire.answer()
    assert answer.status == 200
    gateway.reopen_shell()
    assert_served(tenant)
    [file_id] = tenant.ids()
    tenant.assert_holds({file_id: CONTENT})
    assert set(sha256_at(gateway.fake)) == {file_id}
    gateway.assert_no_drift()


def test_a_settle_waits_for_its_database(gateway: Gateway, database: MortalPostgreSQL) -> None:
    tenant = gateway.tenant()
    gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.hang(stored=True))
    upload = Answer(lambda: tenant.upload(CONTENT))
    gateway.fake.wait_until_paused()
    database.crash()
    gateway.fake.release()
    gateway.fake.wait_until_idle()
    database.start()
    answer = upload.wait()
    assert answer.status_code == 200, answer.text
    gateway.reopen_shell()
    assert_served(tenant)
    tenant.assert_holds({answer.json()["id"]: CONTENT})
    gateway.assert_no_drift()


@pytest.mark.parametrize(
    ("request_", "behind", "is_stored"),
    [
        (b"COMMIT", b'INSERT INTO "files_app_ratecount"', False),
        (b'INSERT INTO "files_app_file"', b"", False),
        (b'UPDATE "files_app_file" SET "reserved_bytes"', b"", True),
        (b'INSERT INTO "files_app_auditevent"', b"", True),
    ],
    ids=["rate", "reserve", "last byte", "settle"],
)
def test_a_commit_whose_answer_is_lost_counts_once(
    gateway: Gateway, proxy: FaultProxy, request_: bytes, behind: bytes, is_stored: bool
) -> None:
    """What begins an upload, takes it on and ends it is committed by the message that holds it."""
    tenant = gateway.tenant()
    lost = proxy.lost
    proxy.lose_answer_to(request_, behind=behind)
    answer = tenant.upload(CONTENT)
    assert proxy.lost == lost + 1
    if not is_stored:  # nothing has been sent: the client may try again
        assert_unavailable(answer)
    else:
        assert answer.status_code == 200, answer.text
    assert_served(tenant)
    gateway.recover()
    tenant.assert_holds({answer.json()["id"]: CONTENT} if is_stored else {})
    assert len(sha256_at(gateway.fake)) == is_stored
    gateway.assert_no_drift()


def test_a_delete_whose_commit_is_not_confirmed_counts_once(gateway: Gateway, proxy: FaultProxy) -> None:
    tenant = gateway.tenant()
    file_id = tenant.upload(CONTENT).json()["id"]
    lost = proxy.lost
    proxy.lose_answer_to(b"COMMIT", behind=b"SET \"state\" = 'deleting'")
    assert_unavailable(tenant.delete(file_id))
    assert proxy.lost == lost + 1
    assert_served(tenant)
    assert tenant.delete(file_id).status_code == 404  # it was done
    gateway.recover()
    tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}
    gateway.assert_no_drift()


def test_a_lock_is_not_waited_for_without_end(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    assert tenant.upload(b"there").status_code == 200
    with gateway.locked_database():
        began = time.monotonic()
        answer = tenant.upload(b"waits for a lock")
        waited = time.monotonic() - began
    assert_unavailable(answer)
    assert waited < PATIENCE_SECONDS / 2
    assert tenant.upload(b"goes on").status_code == 200
    gateway.recover()
    gateway.assert_no_drift()
