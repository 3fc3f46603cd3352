"""Two web servers behind the shipped nginx are restarted one after the other, and no client notices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.faults.fronts import balanced
from tests.processes import wait_until
from tests.stack import Stack

SHIPPED_DRAIN = {"SHUTDOWN_DRAIN_SECONDS": "5", "UPLOADS_PER_MINUTE": "0"}
GETS = 2_000
POSTING = 2  # clients, each with one upload under way


@contextmanager
def two_nodes(directory: Path, database_url: str) -> Iterator[tuple[Stack, Stack]]:
    """Run two web servers on one database and one folder of files, as two hosts with a shared volume."""
    first = Stack(directory / "first", database_url=database_url, environment=SHIPPED_DRAIN)
    shared = {"DATA_DIR": str(first.data_dir), "BOOTSTRAP_API_KEY": first.api_key}
    second = Stack(directory / "second", database_url=database_url, environment={**SHIPPED_DRAIN, **shared})
    with ExitStack() as cleanup:
        first.prepare()
        for node in (first, second):
            cleanup.callback(node.stop)
            node.start("web")
        for node in (first, second):
            node.wait_ready()
        yield first, second


@dataclass
class Clients:
    """Clients that read and upload without a pause, and count what they are answered."""

    url: str
    key: str
    file_id: str
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def get(self, session: requests.Session) -> requests.Response:
        return session.get(f"{self.url}/v1/files/{self.file_id}", timeout=30)

    def read(self, session: requests.Session) -> requests.Response:
        return session.get(f"{self.url}/v1/files/{self.file_id}/content", timeout=30)

    def post(self, session: requests.Session) -> requests.Response:
        form = {"file": ("a.txt", b"content"), "purpose": (None, "user_data")}
        return session.post(f"{self.url}/v1/files", files=form, timeout=30)

    def __enter__(self) -> Clients:
        self._threads = [
            threading.Thread(target=self._run, args=(name, call))
            for name, call in [("GET", self.get), ("GET", self.read), ("POST", self.post)] * POSTING
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str, call: Callable[[requests.Session], requests.Response]) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {self.key}"
            while not self._stopped.is_set():
                try:
                    answer = call(session)
                    failure = "" if answer.status_code == 200 else f"{name} {answer.status_code}"
                except requests.RequestException as error:
                    failure = f"{name} {type(error).__name__}"
                with self._lock:
                    self.answers[name] += 1
                    if failure:
                        self.failures.append(failure)


@pytest.mark.timeout(300)
def test_no_request_fails_while_one_node_after_the_other_is_restarted(
    need_service: Callable[[str], str], gateway_postgresql_url: str, tmp_path: Path
) -> None:
    with (
        two_nodes(tmp_path, gateway_postgresql_url) as nodes,
        balanced(need_service("nginx"), tmp_path / "nginx", nodes) as url,
    ):
        form = {"file": ("kept.txt", b"kept"), "purpose": (None, "user_data")}
        key = nodes[0].api_key
        kept = requests.post(
            f"{url}/v1/files", files=form, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        with Clients(url, key, kept.json()["id"]) as clients:
            for node in nodes:
                assert node.terminate("web") == 0
                node.restart_web()
            wait_until(lambda: clients.answers["GET"] >= GETS, seconds=120, what=f"{GETS} GETs")
            assert Counter(clients.failures) == {}
            assert clients.answers["POST"] > 100

            nodes[0].kill("web")  # a GET goes to the other node, a POST that was under way is told
            seen = clients.answers["GET"]
            wait_until(lambda: clients.answers["GET"] > seen + 200, seconds=60, what="200 more GETs")
    assert set(clients.failures) <= {"POST 503"}
    assert len(clients.failures) <= POSTING
