"""One tenant's dead provider or slow clients, and everybody else: who is served, who is refused, how soon."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import Gateway, Tenant, naming
from tests.faults.wire import head
from tests.processes import wait_until
from tests.stack import Stack

THREADS = 8
#: More than the gateway has threads, of each kind of request.
CROWD = 10
#: What a refusal and a probe may take. Measured in milliseconds; a busy machine gets its time.
PROMPT_SECONDS = 3.0


@pytest.fixture(scope="module")
def running_small(running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with few threads, whose breakers try again after seconds."""
    environment = {**QUICK, "WEB_THREADS": str(THREADS), "BREAKER_SECONDS": "3"}
    with Gateway(Stack(tmp_path_factory.mktemp("small"), environment=environment), running_fake) as gateway:
        yield gateway


@pytest.fixture
def small(running_small: Gateway, fake: FakeProvider) -> Gateway:
    """The same, with nothing at its provider, where no earlier organization has access any more."""
    running_small.shell("retire_accounts")
    return running_small


def second_key(gateway: Gateway, tenant: Tenant) -> Tenant:
    return Tenant(tenant.url, tenant.organization, gateway.shell("key", organization=tenant.organization))


def assert_is_served(tenant: Tenant) -> None:
    """Every kind of request is answered as if nobody else were there."""
    uploaded = tenant.upload(b"mine")
    assert uploaded.status_code == 200, uploaded.text
    file_id = uploaded.json()["id"]
    assert tenant.retrieve(file_id).status_code == 200
    assert tenant.content(file_id).content == b"mine"
    assert file_id in tenant.ids()
    assert tenant.delete(file_id).status_code == 200


def assert_probes_answer(gateway: Gateway) -> None:
    for path in "/healthz", "/readyz", "/metrics":
        assert requests.get(f"{gateway.stack.url}{path}", timeout=PROMPT_SECONDS).status_code == 200


def assert_is_refused_for_load(answer: requests.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "gateway_busy"
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert answer.elapsed.total_seconds() < PROMPT_SECONDS


@pytest.mark.parametrize("kind", ["upload", "content", "unknown id"])
def test_a_provider_that_hangs_holds_a_quarter_of_the_threads(small: Gateway, kind: str) -> None:
    ill, well = small.tenant(), small.tenant(small.account(dialect="xai"))
    partner = second_key(small, ill)
    known = ill.upload(b"theirs").json()["id"]
    requests_of: dict[str, Callable[[Tenant], requests.Response]] = {
        "upload": lambda tenant: tenant.upload(b"more"),
        "content": lambda tenant: tenant.content(known),
        "unknown id": lambda tenant: tenant.retrieve("file-unknown"),
    }
    small.fake.script({"path": "^/openai/", "times": None}, behaviours.hang())
    with ThreadPoolExecutor(2 * CROWD) as clients:
        waiting = [
            clients.submit(requests_of[kind], tenant) for tenant in (ill, partner) for _ in range(CROWD)
        ]
        small.fake.wait_until_paused(THREADS // 4)
        refused = 2 * CROWD - THREADS // 4
        wait_until(
            lambda: sum(each.done() for each in waiting) >= refused,
            seconds=30,
            what="all others to be refused",
        )
        for answer in (each.result() for each in waiting if each.done()):
            assert_is_refused_for_load(answer)
        assert_probes_answer(small)
        assert_is_served(well)
        assert ill.retrieve(known).status_code == 200  # the index has it
        small.fake.release()
        assert sum(each.result().status_code == 504 for each in waiting) == THREADS // 4


def test_lists_of_a_provider_that_hangs_wait_for_it_by_twos(small: Gateway) -> None:
    ill = small.tenant(small.account("slow", list_freshness_seconds=0))
    file_id = ill.upload(b"theirs").json()["id"]
    small.fake.script({"method": "GET", "times": None}, behaviours.hang())
    with ThreadPoolExecutor(CROWD) as clients:
        lists = [
            clients.submit(ill.request, "GET", "/v1/files", headers=naming("slow")) for _ in range(CROWD)
        ]
        answers = [each.result() for each in lists]
    assert all(file_id in answer.text for answer in answers)
    assert {answer.headers["x-files-gateway-sync"] for answer in answers} == {"stale"}
    at_once = [answer for answer in answers if answer.elapsed.total_seconds() < PROMPT_SECONDS]
    assert len(at_once) >= CROWD - THREADS // 4
    small.fake.release()


def test_probes_wait_for_no_request(small: Gateway) -> None:
    """Requests that wait for the database hold every thread; of those behind them, none waits for ever."""
    tenant = small.tenant(small.local())
    files = [tenant.upload(b"a", f"{number}.txt").json()["id"] for number in range(2 * THREADS)]
    with ThreadPoolExecutor(2 * THREADS) as clients:
        with small.locked_database():
            deletes = [clients.submit(tenant.delete, file_id) for file_id in files]
            wait_until(lambda: any(each.done() for each in deletes), seconds=20, what="one to be refused")
            assert_probes_answer(small)
            refused = [each.result() for each in deletes if each.done()]
        assert {answer.status_code for answer in refused} == {503}
        assert {answer.json()["error"]["code"] for answer in refused} == {"gateway_busy"}
        assert sum(each.result().status_code == 200 for each in deletes) >= THREADS


def test_strangers_who_drip_forms_keep_nobody_waiting(small: Gateway) -> None:
    tenant = small.tenant(small.local())
    shown = requests.get(f"{small.stack.url}/admin/login/", timeout=PROMPT_SECONDS)
    form = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": "1000",
        "Cookie": f"csrftoken={shown.cookies['csrftoken']}",  # else the body is not looked at
    }
    with ExitStack() as strangers:
        for _ in range(2 * THREADS):
            stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", small.stack.port)))
            stranger.sendall(head("POST", "/admin/login/", form) + b"username=")
        assert_probes_answer(small)
        assert_is_served(tenant)


def count(gateway: Gateway, method: str) -> int:
    return sum(request.method == method for request in gateway.fake.requests)


def lines_about(gateway: Gateway, account: str) -> list[str]:
    """Return what the web server's log says of an account's breakers."""
    lines = [json.loads(line) for line in gateway.stack.log("web").splitlines() if '"breaker_' in line]
    return [line["event"] for line in lines if line["provider"] == account]


def test_a_provider_that_breaks_off_is_left_alone_and_asked_again(small: Gateway) -> None:
    tenant = small.tenant(small.account("breaking"))
    small.fake.script({"method": "POST", "times": None}, behaviours.drop())
    for _ in range(3):
        assert tenant.upload(b"a").status_code == 502
    asked = count(small, "POST")
    refused = tenant.upload(b"a")
    assert refused.status_code == 502
    assert int(refused.headers["Retry-After"]) >= 1
    assert "not asked" in refused.json()["error"]["message"]
    assert count(small, "POST") == asked
    assert "breaking: write is not answered" in small.stack.manage("doctor", "--offline", check=False).stdout
    small.fake.reset()
    wait_until(lambda: tenant.upload(b"a").status_code == 200, seconds=30, what="an upload to go through")
    assert tenant.upload(b"b").status_code == 200
    assert lines_about(small, "breaking") == ["breaker_opened", "breaker_closed"]
    assert (
        "breaking: write is not answered" not in small.stack.manage("doctor", "--offline", check=False).stdout
    )


def test_a_list_does_not_ask_a_provider_that_is_left_alone(small: Gateway) -> None:
    tenant = small.tenant(small.account("away", list_freshness_seconds=0))
    file_id = tenant.upload(b"a").json()["id"]
    small.fake.script({"method": "GET", "times": None}, behaviours.drop())
    for _ in range(3):
        assert tenant.retrieve("file-unknown").status_code == 502
    asked, began = count(small, "GET"), time.monotonic()
    answer = tenant.request("GET", "/v1/files", headers=naming("away"))
    assert answer.headers["x-files-gateway-sync"] == "stale"
    assert [file["id"] for file in answer.json()["data"]] == [file_id]
    if time.monotonic() - began < 0.5:  # else it may have been the try
        assert count(small, "GET") == asked
