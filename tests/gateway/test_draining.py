"""The web server on its way out, as its clients and proxies see it."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.wire import Wire, form, head, upload_head
from tests.processes import accepts_connections, wait_until
from tests.stack import Stack

BODY = form(b"0123456789abcdef" * 100_000)  # more than is read whole before anything is reserved
DRAIN_SECONDS = 3


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    environment = {"SHUTDOWN_DRAIN_SECONDS": str(DRAIN_SECONDS), "WEB_WORKERS": "2"}
    stack = Stack(tmp_path_factory.mktemp("draining"), environment=environment)
    stack.prepare()
    return stack


@pytest.fixture
def web(prepared: Stack) -> Iterator[Stack]:
    """A web server of two workers, of which each test makes an end."""
    prepared.start("web")
    try:
        prepared.wait_ready()
        yield prepared
    finally:
        prepared.stop()


def get(stack: Stack, path: str) -> tuple[int, str, bytes]:
    """Return status, `Connection` and body, asked for over a connection of its own."""
    with Wire(stack.port) as wire:
        wire.send(head("GET", path, {}))
        answer = wire.answer()
    return answer.status, answer.headers.get("connection", ""), answer.body


def is_refused(stack: Stack) -> bool:
    return not accepts_connections(stack.port)


def billed_files(stack: Stack) -> int:
    """Return how many uploads are written down for bills."""
    with closing(sqlite3.connect(next(stack.data_dir.glob("*.sqlite3")))) as database:
        return int(database.execute("SELECT COALESCE(SUM(files), 0) FROM files_app_dailyusage").fetchone()[0])


def begin_upload(stack: Stack) -> Wire:
    """Send the first half of an upload and return when the gateway has begun with it."""
    wire = Wire(stack.port)
    wire.send(upload_head(stack.api_key, len(BODY)) + BODY[: len(BODY) // 2])
    usage = head("GET", "/v1/usage", {"Authorization": f"Bearer {stack.api_key}"})

    def has_begun() -> bool:
        with Wire(stack.port) as other:
            other.send(usage)
            return bool(json.loads(other.answer().body)["reserved_bytes"])

    wait_until(has_begun, seconds=10, what="the upload to begin")
    return wire


def test_sigterm_turns_readiness_off_and_the_rest_goes_on(web: Stack) -> None:
    assert get(web, "/readyz")[:2] == (200, "")
    web.processes["web"].send(signal.SIGTERM)
    wait_until(lambda: get(web, "/readyz")[0] == 503, seconds=DRAIN_SECONDS, what="readiness to go off")
    status, connection, body = get(web, "/readyz")
    assert (status, connection, json.loads(body)["checks"]["process"]) == (503, "close", "stopping")
    assert get(web, "/healthz")[:2] == (200, "close")
    assert get(web, "/v1/files")[:2] == (401, "close")
    web.processes["web"].send(signal.SIGTERM)  # who signals a group often has it passed on as well
    assert get(web, "/healthz")[:2] == (200, "close")
    wait_until(lambda: not web.processes["web"].is_running, seconds=15, what="the web server to stop")
    assert web.processes["web"].exit_code == 0
    assert is_refused(web)


@pytest.mark.parametrize("whom", ["main process", "whole group"])
def test_an_upload_under_way_ends_well(web: Stack, whom: str) -> None:
    with begin_upload(web) as upload, Wire(web.port) as idle:
        idle.send(head("GET", "/healthz", {}))
        assert idle.answer().status == 200
        process = web.processes["web"]
        send = process.send if whom == "main process" else process.send_group
        send(signal.SIGTERM)
        wait_until(lambda: get(web, "/readyz")[0] == 503, seconds=DRAIN_SECONDS, what="readiness to go off")
        wait_until(lambda: is_refused(web), seconds=15, what="the door to close")
        assert idle.rest(timeout=10) == b""
        upload.send(BODY[len(BODY) // 2 :])
        assert upload.answer().status == 200
    wait_until(lambda: not process.is_running, seconds=15, what="the web server to stop")
    assert process.exit_code == 0


def test_ctrl_c_in_a_terminal_lets_an_upload_end_and_waits_for_no_proxy(web: Stack) -> None:
    process, before = web.processes["web"], billed_files(web)
    with begin_upload(web) as upload:
        process.send_group(signal.SIGINT)
        wait_until(lambda: is_refused(web), seconds=DRAIN_SECONDS, what="the door to close")
        upload.send(BODY[len(BODY) // 2 :])
        assert upload.answer().status == 200
    wait_until(lambda: not process.is_running, seconds=15, what="the web server to stop")
    assert billed_files(web) == before + 1  # it was stored long before usage is written down in its turn


def test_workers_do_not_outlive_a_killed_main_process(web: Stack) -> None:
    web.processes["web"].send(signal.SIGKILL)
    wait_until(lambda: is_refused(web), seconds=15, what="the workers to end")
