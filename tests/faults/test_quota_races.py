"""Uploads race for the last bytes of a quota (E1), with two web processes, on both databases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import Gateway, Shell, Tenant
from tests.faults.wire import FORM_TYPE, form
from tests.servers import PostgreSQL
from tests.stack import Stack

RACERS = 16
WINNERS = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, fake: FakeProvider, tmp_path: Path) -> Iterator[Gateway]:
    """Two web processes, so that nothing but the database can decide."""
    url = ""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.create_gateway_database(f"races_{uuid4().hex}")
    environment = {**QUICK, "WEB_WORKERS": "2"}
    with Gateway(Stack(tmp_path / "stack", database_url=url, environment=environment), fake) as gateway:
        yield gateway


class Sampler:
    """Looks at counters and rows in one snapshot each, all the time (I3)."""

    def __init__(self, gateway: Gateway, tenant: Tenant) -> None:
        self._shell = Shell(gateway.stack)
        self._organization = tenant.organization
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples = 0
        self.wrong: list[dict[str, int]] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._shell.close()

    def _run(self) -> None:
        while not self._is_over.is_set():
            balance: dict[str, int] = self._shell("balance", organization=self._organization)
            self.samples += 1
            drifted = any(value for name, value in balance.items() if name.endswith("_drift"))
            if drifted or balance["excess"] > 0:
                self.wrong.append(balance)


def at_once(calls: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    """Make all calls at the same moment."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], requests.Response]) -> requests.Response:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def race(gateway: Gateway, size: int, upload: Callable[[Tenant, bytes, str], requests.Response]) -> Tenant:
    """Let uploads of one size race for a quota in which WINNERS of them fit, to the byte."""
    tenant = gateway.tenant(gateway.local(), quota_bytes=WINNERS * size)
    with Sampler(gateway, tenant) as sampler:

        def call(number: int) -> Callable[[], requests.Response]:
            return lambda: upload(tenant, bytes([number]) * size, f"{number}.txt")

        answers = at_once([call(number) for number in range(RACERS)])
    assert Counter(answer.status_code for answer in answers) == {200: WINNERS, 403: RACERS - WINNERS}
    for answer in answers:
        if answer.status_code == 403:
            error: dict[str, Any] = answer.json()["error"]
            assert (error["type"], error["code"]) == ("insufficient_quota", "storage_quota_exceeded")
            assert answer.headers["x-should-retry"] == "false"
            assert f"{WINNERS * size:,} bytes" in error["message"]
    assert sampler.samples
    assert sampler.wrong == []
    assert tenant.usage() == (WINNERS * size, 0, WINNERS)
    assert len(tenant.ids()) == WINNERS
    gateway.assert_no_drift()
    return tenant


def upload_chunked(tenant: Tenant, content: bytes, name: str) -> requests.Response:
    body = form(content, name)
    pieces = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    return tenant.request("POST", "/v1/files", data=pieces, headers={"Content-Type": FORM_TYPE})


def test_exactly_as_many_uploads_win_as_fit(gateway: Gateway) -> None:
    race(gateway, 1_000, Tenant.upload)
    tenant = race(gateway, 1_048_576, Tenant.upload)
    race(gateway, 200_000, upload_chunked)
    delete_while_uploading(gateway, tenant)
    fail_while_uploading(gateway)
    race_for_the_last_file(gateway)
    recount_after_a_change_by_hand(gateway)


def delete_while_uploading(gateway: Gateway, tenant: Tenant) -> None:
    """Deletes make room while others take it: the counters follow."""
    old = tenant.ids()

    def delete(file_id: str) -> Callable[[], requests.Response]:
        return lambda: tenant.delete(file_id)

    def upload(number: int) -> Callable[[], requests.Response]:
        return lambda: tenant.upload(b"y" * 1_048_576, f"new-{number}.txt")

    with Sampler(gateway, tenant) as sampler:
        answers = at_once([*map(delete, old), *map(delete, old), *map(upload, range(WINNERS))])
    assert sampler.wrong == []
    deleted = Counter(answer.status_code for answer in answers[: 2 * WINNERS])
    assert deleted == {200: WINNERS, 404: WINNERS}
    uploaded = [answer for answer in answers[2 * WINNERS :] if answer.status_code == 200]
    assert {answer.status_code for answer in answers[2 * WINNERS :]} <= {200, 403}
    assert tenant.usage() == (len(uploaded) * 1_048_576, 0, len(uploaded))
    gateway.assert_no_drift()


def fail_while_uploading(gateway: Gateway) -> None:
    """What a failing provider refuses gives its reservation back."""
    tenant = gateway.tenant(quota_bytes=RACERS * 100_000)
    gateway.fake.script({"method": "POST", "times": RACERS // 2}, behaviours.fail(500))
    with Sampler(gateway, tenant) as sampler:
        answers = at_once([lambda: tenant.upload(b"z" * 100_000) for _ in range(RACERS)])
    assert Counter(answer.status_code for answer in answers) == {200: RACERS // 2, 502: RACERS // 2}
    assert sampler.wrong == []
    assert tenant.usage() == (RACERS // 2 * 100_000, 0, RACERS // 2)
    gateway.assert_no_drift()


def race_for_the_last_file(gateway: Gateway) -> None:
    """Not the bytes but the number of files is what runs out."""
    tenant = gateway.tenant(gateway.local(), max_files=WINNERS)
    answers = at_once([lambda: tenant.upload(b"x" * 10_000) for _ in range(RACERS)])
    assert Counter(answer.status_code for answer in answers) == {200: WINNERS, 403: RACERS - WINNERS}
    assert tenant.usage() == (WINNERS * 10_000, 0, WINNERS)
    gateway.shell("deliver_deletes")
    assert len(tenant.ids()) == WINNERS
    gateway.assert_no_drift()


def recount_after_a_change_by_hand(gateway: Gateway) -> None:
    tenant = gateway.tenant(gateway.local())
    file_id = tenant.upload(b"four").json()["id"]
    gateway.shell("shift_counters", organization=tenant.organization, amount=1_000)
    [drift] = gateway.shell("recount")
    assert drift["counted"]["used_bytes"] - drift["actual"]["used_bytes"] == 1_000
    assert tenant.usage() == (1_004, 0, 1)
    gateway.shell("recount", dry_run=False)
    tenant.assert_holds({file_id: b"four"})
    gateway.assert_no_drift()
