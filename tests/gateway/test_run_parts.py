"""What becomes of `manage.py run` when its processes are killed, stopped and told to end."""

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway import preloading
from gateway.programs import PROGRAMS
from tests.gateway.test_run import RUN, environment_in, start
from tests.processes import Process, wait_until
from tests.stack import SQLITE, copy_tables

API_KEY = "test-key-of-the-parts-0123456789abcdef"
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n"
)


PARTS = len(PROGRAMS)
WEB, WORKER = "web server", "Celery worker"


class Gateway:
    """A whole gateway under its supervisor."""

    def __init__(self, directory: Path, command: list[str] = RUN, **environment: str) -> None:
        settings = {"BOOTSTRAP_API_KEY": API_KEY, "LOG_FORMAT": "json", "SHUTDOWN_GRACE_SECONDS": "20"}
        self.environment = {**environment_in(directory), **settings, **environment}
        data = Path(self.environment["DATA_DIR"])
        data.mkdir()
        copy_tables(data / SQLITE)
        self.process = Process(command, log=directory / "run.log", environment=self.environment)

    @property
    def supervisor(self) -> int:
        """The oldest that is one: what is forked of it has its command line."""
        return next(
            pid
            for pid in descendants(self.process.pid)
            if "gateway.forking" in command_of(pid) or command_of(pid)[1:] == RUN[1:]
        )

    def part(self, title: str) -> int:
        """Return the child of the supervisor that has this name."""
        (pid,) = (pid for pid in children(self.supervisor) if name_of(pid) == title)
        return pid

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line for line in self.process.output().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}{path}"

    def is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(self.url("/readyz"), timeout=3).status_code == 200
        return False

    def is_uploading(self) -> bool:
        database = Path(self.environment["DATA_DIR"]) / SQLITE
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT 1 FROM files_app_file WHERE state = 'uploading'")
            return found.fetchone() is not None

    def upload(self, until: threading.Event) -> int:
        """Upload a file whose end is sent when the event is set; return the status."""

        def body() -> Iterator[bytes]:
            yield HEAD
            while not until.wait(0.1):
                yield b"x" * 1000
            yield b"\r\n--b--\r\n"

        headers = {
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "multipart/form-data; boundary=b",
        }
        return requests.post(self.url("/v1/files"), data=body(), headers=headers, timeout=60).status_code


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    return [pid] + [each for child in children(pid) for each in descendants(child)]


def command_of(pid: int) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    return []


def name_of(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def is_gone(pid: int) -> bool:
    return not command_of(pid)  # a zombie has none


@contextlib.contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    try:
        start(gateway.process)
        wait_until(lambda: len(gateway.events("part_runs")) == PARTS, seconds=60, what="all parts")
        yield gateway
    finally:
        left = descendants(gateway.process.pid)
        gateway.process.kill()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(Gateway(tmp_path)) as whole:
        yield whole


@contextlib.contextmanager
def uploading(gateway: Gateway, end: threading.Event) -> Iterator[Future[int]]:
    """Have an upload in flight, of which the gateway has read a part."""
    with ThreadPoolExecutor(1) as pool:
        try:
            answer = pool.submit(gateway.upload, end)
            wait_until(gateway.is_uploading, seconds=20, what="the upload to begin")
            yield answer
        finally:
            end.set()


def test_parts_that_are_killed_come_back_and_a_running_upload_ends_well(gateway: Gateway) -> None:
    words = (WEB, WORKER)
    killed = {word: gateway.part(word) for word in words}
    end = threading.Event()
    with uploading(gateway, end) as answer:
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(gateway.events("part_runs")) == 2 * PARTS, seconds=60, what="all parts to come back"
        )
        end.set()
        assert answer.result(30) == 200
    wait_until(gateway.is_ready, seconds=30, what="the gateway to be ready")
    assert {event["part"] for event in gateway.events("part_ended")} == {"web", "worker"}
    assert not set(killed.values()) & {gateway.part(word) for word in words}


def test_workers_that_stand_are_ended_and_started_again(gateway: Gateway) -> None:
    (web_worker,) = children(gateway.part(WEB))
    web, worker = gateway.part(WEB), gateway.part(WORKER)
    for pid in (web_worker, worker):
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_gone(web_worker) and is_gone(worker), seconds=60, what="both to be ended")
    wait_until(
        lambda: len(gateway.events("part_runs")) > PARTS and gateway.is_ready(),
        seconds=40,
        what="both to be back",
    )
    assert [event["pid"] for event in gateway.events("web_worker_stands")] == [web_worker]
    assert [event["part"] for event in gateway.events("part_stands")] == ["worker"]
    assert gateway.part(WEB) == web


def test_a_main_process_that_stands_is_ended_and_started_again(gateway: Gateway) -> None:
    stopped = gateway.part(WEB)
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: len(gateway.events("part_runs")) == PARTS + 1, seconds=60, what="it to be back")
    assert is_gone(stopped)
    assert {event["part"] for event in gateway.events("part_stands")} == {"web"}
    wait_until(gateway.is_ready, seconds=30, what="the gateway to be ready")


@pytest.mark.parametrize("reach", ["group", "every process"])
def test_a_signal_to_all_is_as_gentle_as_one_to_the_supervisor(tmp_path: Path, reach: str) -> None:
    """make and tini -g pass on what their children have had already; systemd sends it to everybody."""
    (tmp_path / "Makefile").write_text(f"run:\n\t@{' '.join(RUN)}\n")
    make = ["make", "--no-print-directory", "-f", str(tmp_path / "Makefile"), "run"]
    with running(Gateway(tmp_path, make)) as gateway:
        supervisor, end = gateway.supervisor, threading.Event()
        with uploading(gateway, end) as answer:
            if reach == "group":
                gateway.process.send_group(signal.SIGTERM)
            else:
                for pid in descendants(gateway.process.pid):
                    with contextlib.suppress(ProcessLookupError):  # it heard of another one's end
                        os.kill(pid, signal.SIGTERM)
            wait_until(lambda: "Stopping" in gateway.process.output(), seconds=10, what="the stop")
            time.sleep(2)  # what stops the upload does so within half a second
            end.set()
            assert answer.result(30) == 200
        wait_until(lambda: is_gone(supervisor), seconds=30, what="the supervisor to end")
        assert gateway.process.output().rstrip().endswith("Stopped.")


def test_nothing_outlives_a_killed_supervisor(gateway: Gateway) -> None:
    everybody = descendants(gateway.process.pid)
    assert len(everybody) >= 4
    os.kill(gateway.supervisor, signal.SIGKILL)
    wait_until(lambda: all(map(is_gone, everybody)), seconds=40, what="all processes to end")


@pytest.mark.skipif(not preloading.forks(), reason="parts are programs of their own")
def test_the_parts_share_what_is_loaded_and_no_secret_is_given_away(tmp_path: Path) -> None:
    with running(Gateway(tmp_path, BOOTSTRAP_API_KEY="")) as gateway:
        for pid in (gateway.part(WEB), gateway.part(WORKER)):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("Shared_Dirty:"))
            assert kibibytes >= 20_000
        kept = json.loads((Path(gateway.environment["DATA_DIR"]) / "first-start.json").read_text())
        for pid in descendants(gateway.process.pid):
            for name in ("cmdline", "environ"):
                given = Path(f"/proc/{pid}/{name}").read_text()
                assert kept["api_key"] not in given
                assert kept["admin_password"] not in given
