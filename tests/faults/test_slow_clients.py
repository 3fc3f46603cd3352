"""Clients that take or send next to nothing (A10): they are ended, others are served, slow ones go on."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pytest
import requests

from tests.fake_provider import FakeProvider, behaviours
from tests.faults import fronts
from tests.faults.conftest import QUICK
from tests.faults.fronts import Front
from tests.faults.gateway import Gateway, Tenant
from tests.faults.wire import Wire, form, head, upload_head
from tests.processes import wait_until
from tests.stack import Stack

#: Long enough for a busy machine to let a lawful client have its turn.
PATIENCE_SECONDS = 4
THREADS = 12
#: As many as the gateway lets work at once.
CROWD = THREADS
#: More than a worker of granian accepts.
IDLE = 1_100
BEAT_SECONDS = 0.1
#: Lawful clients take their time, half as long again as they may stand still.
STEPS = 40
STEP_SECONDS = 1.5 * PATIENCE_SECONDS / STEPS
LARGE = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def running_strict(running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with few threads, all of which one key may take, and little patience."""
    shares = dict.fromkeys(["ACCOUNT_SHARE", "KEY_SHARE", "ORGANIZATION_SHARE", "TRANSFERS_SHARE"], "100")
    environment = {"CLIENT_IDLE_SECONDS": str(PATIENCE_SECONDS), "WEB_THREADS": str(THREADS)}
    environment = {**QUICK, **shares, **environment}
    stack = Stack(tmp_path_factory.mktemp("strict"), environment=environment)
    with Gateway(stack, running_fake) as gateway:
        yield gateway


@pytest.fixture
def strict(running_strict: Gateway, fake: FakeProvider) -> Gateway:
    """The same, with nothing left at its provider."""
    return running_strict


@pytest.fixture(scope="module", params=["granian", "nginx"])
def door(
    request: pytest.FixtureRequest, running_strict: Gateway, need_service: Callable[[str], str]
) -> Iterator[Front]:
    if request.param == "granian":
        yield Front("granian", running_strict.stack.port, running_strict.stack.directory / "web.log")
    else:
        with fronts.nginx(need_service("nginx"), running_strict.stack) as front:
            yield front


class Crowd:
    """Clients that all say the same, and then send or take a few bytes a beat until the block is left."""

    def __init__(self, port: int, count: int, said: bytes, *, sends: bytes = b"", takes: int = 0) -> None:
        self._sockets = [connected(port) for _ in range(count)]
        for each in self._sockets:
            each.sendall(said)
        self._sends, self._takes = sends, takes
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        while not self._left.wait(BEAT_SECONDS):
            for each in self._sockets:
                with contextlib.suppress(OSError):  # ended, or nothing to take
                    each.setblocking(False)
                    each.send(self._sends)
                    each.recv(self._takes)


def connected(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", port))
    return client


def is_served(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1).ok
    except requests.RequestException:
        return False


def ended(gateway: Gateway, fault: str) -> float:
    """Return how many connections the gateway says that it has ended for this."""
    name = f'files_gateway_connections_ended_total{{fault="{fault}"}}'
    lines = requests.get(f"{gateway.stack.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def upload_begun(tenant: Tenant) -> bytes:
    return upload_head(tenant.key, 2_000_000) + form(b"x" * 2_000_000)[:500]


def download_begun(tenant: Tenant, file_id: str) -> bytes:
    return head("GET", f"/v1/files/{file_id}/content", {"Authorization": f"Bearer {tenant.key}"})


def test_uploads_that_drip_are_ended(strict: Gateway, door: Front) -> None:
    tenant = strict.tenant()
    before = ended(strict, "slow_upload")
    with Crowd(door.port, CROWD, upload_begun(tenant), sends=b"x"):
        wait_until(lambda: is_served(door.port), seconds=30, what="a probe to be answered")
        wait_until(
            lambda: ended(strict, "slow_upload") >= before + CROWD, seconds=30, what="every upload to end"
        )
    wait_until(
        lambda: strict.in_state(tenant, "files", "uploading") == 0, seconds=10, what="every row to be settled"
    )
    tenant.assert_empty()


def test_downloads_that_drip_are_ended(strict: Gateway, door: Front) -> None:
    tenant = strict.tenant()
    file_id = tenant.upload(b"0123456789abcdef" * (LARGE // 16), "a.bin").json()["id"]
    before = ended(strict, "slow_download")
    with Crowd(door.port, CROWD, download_begun(tenant, file_id), takes=10):
        wait_until(lambda: is_served(door.port), seconds=30, what="a probe to be answered")
        wait_until(
            lambda: ended(strict, "slow_download") >= before + CROWD, seconds=30, what="every download to end"
        )
    strict.fake.wait_until_idle(timeout_seconds=10)


def test_uploads_that_stand_still_are_ended_on_granian(strict: Gateway) -> None:
    tenant, port = strict.tenant(), strict.stack.port
    with Crowd(port, CROWD, upload_begun(tenant)):
        wait_until(lambda: is_served(port), seconds=30, what="a probe to be answered")
        wait_until(
            lambda: strict.in_state(tenant, "files", "failed") == CROWD, seconds=30, what="all to have failed"
        )
    tenant.assert_empty()


def test_idle_connections_keep_nobody_out(strict: Gateway) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    port = strict.stack.port
    with contextlib.ExitStack() as idle:
        for _ in range(IDLE):
            client = idle.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("127.0.0.1", port))
        wait_until(lambda: is_served(port), seconds=20, what="a probe to be answered")


def take_slowly(wire: Wire) -> bytes:
    """Take an answer in steps, as large as the lumps in which the kernel of loopback passes it on."""
    taken = 0
    for _ in range(STEPS):
        taken = wire.read_up_to(taken + 1)
        time.sleep(STEP_SECONDS)
    return wire.answer().body


def send_slowly(wire: Wire, body: bytes) -> int:
    size = len(body) // STEPS + 1
    for start in range(0, len(body), size):
        wire.send(body[start : start + size])
        time.sleep(STEP_SECONDS)
    return wire.answer().status


def test_slow_clients_that_keep_the_rate_and_slow_providers_are_left_alone(
    strict: Gateway, door: Front
) -> None:
    """Each takes half as long again as a client may stand still."""
    tenant, fake = strict.tenant(), strict.fake
    content = b"0123456789abcdef" * 6_000
    small = str(tenant.upload(content, "small.bin").json()["id"])
    large = str(tenant.upload(content * 40, "large.bin").json()["id"])
    with (
        ThreadPoolExecutor(5) as clients,
        Wire(door.port) as sender,
        Wire(door.port) as taker,
    ):
        fake.script({"method": "POST"}, behaviours.pause(after_body_bytes=100_000))
        held = clients.submit(tenant.upload, content * 20, "held.bin")
        fake.wait_until_paused()
        fake.script({"method": "POST"}, behaviours.hang(stored=True))
        judged = clients.submit(tenant.upload, content, "judged.bin")
        fake.wait_until_paused(2)
        fake.script({"path": f"{small}.*/content$"}, behaviours.slow_drip(70_000, STEPS * STEP_SECONDS))
        dripped = clients.submit(tenant.content, small)
        body = form(content)
        sender.send(upload_head(tenant.key, len(body)))
        sent = clients.submit(send_slowly, sender, body)
        taker.send(download_begun(tenant, large))
        taken = clients.submit(take_slowly, taker)
        assert sent.result() == 200
        assert len(taken.result()) == len(content) * 40
        assert dripped.result().content == content
        fake.release()
        assert held.result().status_code == judged.result().status_code == 200
