"""Object stores, with real servers behind the gateway: what a crash, a fault and a stranger leave (D1-D8)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from tests.faults.gateway import PATIENCE_SECONDS, Gateway, Tenant, digest
from tests.faults.proxy import FaultProxy
from tests.faults.stores import GCS, S3, Store
from tests.faults.wire import FORM_TYPE, Wire, upload_head
from tests.files_app.batches import MODELS, chat_line, jsonl
from tests.files_app.forms import BOUNDARY, file_part, purpose_part
from tests.processes import wait_until
from tests.providers.stores import FakeGCS, Weed, gcs_server, s3_server

__all__ = ["gcs_server", "s3_server"]

MIB = 1024 * 1024
HEAD = f"--{BOUNDARY}\r\n".encode() + purpose_part("evals").head() + b"evals\r\n"
HEAD += f"--{BOUNDARY}\r\n".encode() + file_part().head()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()

#: fake-gcs-server takes the question how much has arrived for the end of the file; `test_vertex` scripts it.
ON_S3 = pytest.mark.parametrize("store", ["s3"], indirect=True)


@pytest.fixture(params=["s3", "gcs"])
def store(request: pytest.FixtureRequest, need_service: Callable[[str], str]) -> Iterator[Store]:
    """A real server behind a proxy, with a prefix of this test's own."""
    prefix = f"p{secrets.token_hex(4)}"
    if request.param == "s3":
        need_service("weed")
        weed: Weed = request.getfixturevalue("s3_server")
        with FaultProxy(weed.port) as proxy:
            yield S3(weed, proxy, prefix)
    else:
        server: FakeGCS = request.getfixturevalue("gcs_server")
        with FaultProxy(server.port) as proxy:
            yield GCS(server, proxy, prefix)


def big_form(size: int) -> Iterator[bytes]:
    """Yield a form around a file of so many bytes."""
    yield HEAD
    block = b"0123456789abcdef" * (MIB // 16)
    for _ in range(size // MIB):
        yield block
    yield TAIL


def upload(tenant: Tenant, size: int) -> requests.Response:
    """Upload a file whose length is not announced."""
    headers = {"Content-Type": FORM_TYPE}
    return tenant.request("POST", "/v1/files", data=big_form(size), headers=headers, timeout=110)


def test_a_kill_in_mid_upload_leaves_only_what_the_sweep_clears(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    size = 32 * MIB
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(upload_head(tenant.key, len(HEAD) + size + len(TAIL)))
        for number, piece in enumerate(big_form(size)):
            if number == 20:
                break
            wire.send(piece)
        is_s3 = isinstance(store, S3)
        if is_s3:
            wait_until(lambda: store.strays() == 1, seconds=PATIENCE_SECONDS, what="a multipart upload")
        gateway.stack.kill("web")
    gateway.stack.restart_web()
    gateway.recover()
    assert store.stored_keys() == []
    tenant.assert_empty()
    assert store.strays() == (1 if is_s3 else 0)

    def is_swept() -> bool:
        gateway.shell("sweep_stores")
        return store.strays() == 0

    wait_until(is_swept, seconds=PATIENCE_SECONDS, what="the stray upload to be swept")
    answer = upload(tenant, size)
    assert answer.status_code == 200, answer.text
    assert len(store.stored_keys()) == 1


def test_a_kill_behind_the_last_byte_leaves_nothing(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    body = b"".join(big_form(2 * MIB))
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(upload_head(tenant.key, len(body)) + body[:-1])
        gateway.wait_for_uploads(tenant, 1)
        store.proxy.swallow()
        wire.send(body[-1:])
        # The row knows name and size from the moment in which the store may get the end of the file.
        wait_until(
            lambda: gateway.shell("judged", organization=tenant.organization) == 1,
            seconds=PATIENCE_SECONDS,
            what="the last byte to be judged",
        )
        gateway.stack.kill("web")
    store.proxy.heal()
    gateway.stack.restart_web()
    gateway.recover()
    assert store.stored_keys() == []
    tenant.assert_empty()


def batch_form(size: int) -> Iterator[bytes]:
    """Yield a form around about so many bytes of batch lines, which are rendered for jobs."""
    head = f"--{BOUNDARY}\r\n".encode() + purpose_part("batch").head() + b"batch\r\n"
    yield head + f"--{BOUNDARY}\r\n".encode() + file_part(filename="in.jsonl").head()
    asked = [{"role": "user", "content": "x" * 16_000}]
    for number in range(size // 16_000):
        yield jsonl(chat_line(f"r{number}", MODELS["bedrock"], messages=asked))
    yield TAIL


@ON_S3
def test_a_kill_leaves_nothing_half_of_a_batch_file_and_its_rendition(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    pieces = list(batch_form(32 * MIB))
    length = sum(map(len, pieces))
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(upload_head(tenant.key, length))
        for piece in pieces[: len(pieces) * 2 // 3]:
            wire.send(piece)
        wait_until(lambda: store.strays() == 2, seconds=PATIENCE_SECONDS, what="two multipart uploads")
        gateway.stack.kill("web")
    gateway.stack.restart_web()
    gateway.recover()
    assert store.stored_keys() == []
    tenant.assert_empty()

    def is_swept() -> bool:
        gateway.shell("sweep_stores")
        return store.strays() == 0

    wait_until(is_swept, seconds=PATIENCE_SECONDS, what="the stray uploads to be swept")
    answer = tenant.request("POST", "/v1/files", data=iter(pieces), headers={"Content-Type": FORM_TYPE})
    assert answer.status_code == 200, answer.text
    file = answer.json()
    assert len(store.stored_keys()) == 2
    assert file["batch"]["records"] == 32 * MIB // 16_000
    tenant.delete(file["id"])
    gateway.shell("deliver_deletes")
    assert store.stored_keys() == []


@ON_S3
def test_a_part_that_fails_for_good_leaves_nothing(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    store.proxy.cut_uploads_after(4 * MIB)  # half a part, on each connection
    answer = upload(tenant, 24 * MIB)
    assert answer.status_code == 502, answer.text
    store.proxy.heal()
    gateway.recover()
    assert store.stored_keys() == []
    assert store.strays() == 0
    tenant.assert_empty()
    gateway.assert_no_drift()


@ON_S3
def test_a_part_that_fails_once_is_sent_again(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    store.proxy.cut_uploads_after(12 * MIB)  # in the second part; a new connection gets a whole one through
    answer = upload(tenant, 24 * MIB)
    store.proxy.heal()
    assert answer.status_code == 200, answer.text
    content = tenant.content(answer.json()["id"]).content
    assert digest(content) == digest(b"0123456789abcdef" * (24 * MIB // 16))
    assert store.strays() == 0


def test_an_object_that_was_removed_is_missing_and_then_lost(gateway: Gateway, store: Store) -> None:
    account = store.account()
    tenant = gateway.tenant(account)
    file_id = upload(tenant, MIB).json()["id"]
    other = upload(tenant, 2 * MIB).json()["id"]
    [key] = [key for key in store.stored_keys() if file_id in key]
    store.remove(key)
    gateway.shell("let_time_pass")  # before that it could be one that is not shown yet
    missing = tenant.content(file_id)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "file_missing_at_provider")
    assert gateway.shell("sync_account", name=account["name"])["lost"] == 0
    assert tenant.ids() == {file_id, other}
    gateway.shell("let_time_pass")
    assert gateway.shell("sync_account", name=account["name"])["lost"] == 1
    assert tenant.ids() == {other}
    assert tenant.usage() == (2 * MIB, 0, 1)
    assert tenant.delete(other).status_code == 200
    gateway.shell("deliver_deletes")
    assert store.stored_keys() == []


def test_a_download_that_is_cut_looks_cut(gateway: Gateway, store: Store) -> None:
    tenant = gateway.tenant(store.account())
    file_id = upload(tenant, 16 * MIB).json()["id"]
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(
            f"GET /v1/files/{file_id}/content HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {tenant.key}\r\n\r\n".encode()
        )
        wire.read_up_to(300_000)
        store.proxy.cut_all()
        assert len(wire.rest()) < 16 * MIB


@ON_S3
def test_eight_large_uploads_at_once_take_little_memory(
    gateway: Gateway, store: Store, record_property: Callable[[str, object], None]
) -> None:
    tenant = gateway.tenant(store.account())
    assert upload(tenant, 16 * MIB).status_code == 200  # what is imported once
    idle = memory_bytes(gateway)
    peak, is_over = idle, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.1):
            peak = max(peak, memory_bytes(gateway))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: upload(tenant, 64 * MIB), range(8)))
    finally:
        is_over.set()
        watcher.join()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert tenant.usage() == (16 * MIB + 8 * 64 * MIB, 0, 9)
    grown = (peak - idle) / MIB
    record_property("mib_above_idle", round(grown, 1))
    assert grown <= 8 * 32, f"{grown:.0f} MiB above idle"
    for file_id in tenant.ids():
        tenant.delete(file_id)
    gateway.shell("deliver_deletes")
    assert store.stored_keys() == []


def memory_bytes(gateway: Gateway) -> int:
    """Return the resident memory of the web server with its workers."""
    server = psutil.Process(gateway.stack.processes["web"].pid)
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))
