"""Two web servers with one Redis, one PostgreSQL or one SQLite file count together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
import requests

from tests.fake_provider import FakeProvider
from tests.faults.gateway import Gateway, Tenant
from tests.faults.wire import Wire, form, upload_head
from tests.processes import wait_until
from tests.servers import PostgreSQL, Redis
from tests.stack import Stack

WRONG_KEYS, SIGN_INS, UPLOADS, AT_ONCE = 200, 3, 6, 2
#: Much longer than it takes until a process has heard of the other.
SOON_SECONDS = 20.0


@dataclass
class Pair:
    """Two web servers on the same data. backend: where they count."""

    backend: str
    gateway: Gateway
    other: Stack

    @property
    def urls(self) -> list[str]:
        return [self.gateway.stack.url, self.other.url]

    def tenant(self, **limits: int) -> list[Tenant]:
        """Return an organization's client at each of the two."""
        tenant = self.gateway.tenant(self.gateway.local(), **limits)
        return [replace(tenant, url=url) for url in self.urls]


@pytest.fixture(scope="module", params=["redis", "postgresql", "sqlite"])
def pair(
    request: pytest.FixtureRequest,
    running_fake: FakeProvider,
    need_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    backend, directory = request.param, tmp_path_factory.mktemp("pair")
    database_url = f"sqlite:///{directory / 'shared.sqlite3'}"
    environment = {
        "WRONG_KEYS_PER_MINUTE": str(WRONG_KEYS),
        "SIGN_INS_PER_MINUTE": str(SIGN_INS),
        "UPLOADS_PER_MINUTE": str(UPLOADS),
        "UPLOADS_AT_ONCE": str(AT_ONCE),
    }
    with ExitStack() as servers:
        if backend == "postgresql":
            postgresql: PostgreSQL = request.getfixturevalue("postgresql")
            database_url = postgresql.create_gateway_database("rate_limits")
        if backend == "redis":
            need_service("Redis")
            redis = Redis(directory / "redis")
            redis.start()
            servers.callback(redis.stop)
            environment["THROTTLE_STORAGE_URL"] = redis.url
        first = Stack(directory / "first", database_url=database_url, environment=environment)
        gateway = servers.enter_context(Gateway(first, running_fake))
        shared = {"DATA_DIR": str(first.data_dir), "BOOTSTRAP_API_KEY": first.api_key}
        second = Stack(directory / "second", database_url=database_url, environment={**environment, **shared})
        servers.callback(second.stop)
        second.start("web")
        second.wait_ready()
        yield Pair(backend, gateway, second)


def wrong_key(url: str) -> int:
    headers = {"Authorization": "Bearer wrong"}
    return requests.get(f"{url}/v1/files", headers=headers, timeout=30).status_code


def sign_in(url: str, name: str) -> requests.Response:
    with requests.Session() as browser:
        page = f"{url}/admin/login/"
        token = browser.get(page, timeout=30).cookies["csrftoken"]
        data = {"username": name, "password": "wrong", "csrfmiddlewaretoken": token}
        return browser.post(page, data=data, timeout=30)


def assert_waits(answer: requests.Response) -> None:
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_wrong_keys_are_counted_together(pair: Pair) -> None:
    """Exact where there is a server for it; on a file each hears of the other within a second."""
    here, there = pair.urls
    share = WRONG_KEYS - 100
    assert Counter(wrong_key(here) for _ in range(share)) == {401: share}
    if pair.backend == "sqlite":
        answers: list[int] = []
        wait_until(
            lambda: answers.append(wrong_key(there)) or answers[-1] == 429,
            seconds=SOON_SECONDS,
            what="a refusal",
        )
        assert len(answers) < WRONG_KEYS
    else:
        assert Counter(wrong_key(there) for _ in range(120)) == {401: 100, 429: 20}
        assert wrong_key(here) == 429


@pytest.mark.parametrize("pair", ["redis", "postgresql"], indirect=True)
def test_sign_ins_are_counted_together(pair: Pair) -> None:
    answers = [sign_in(pair.urls[number % 2], f"nobody-{number}") for number in range(SIGN_INS + 1)]
    assert [answer.status_code for answer in answers] == [200] * SIGN_INS + [429]
    assert_waits(answers[-1])


def test_uploads_that_begin_are_counted_together(pair: Pair) -> None:
    if pair.backend == "sqlite":
        limit = 60
        here, there = pair.tenant(uploads_per_minute=limit)
        assert Counter(here.upload(b"x").status_code for _ in range(limit)) == {200: limit}
        answers: list[int] = []
        wait_until(
            lambda: answers.append(there.upload(b"x").status_code) or answers[-1] == 429,
            seconds=SOON_SECONDS,
            what="a refusal",
        )
        assert len(answers) < limit
    else:
        tenants = pair.tenant()
        sent = [tenants[number % 2].upload(b"content").status_code for number in range(UPLOADS + 2)]
        assert sent == [200] * UPLOADS + [429] * 2


def test_requests_are_counted_together_and_answers_tell_what_is_left(pair: Pair) -> None:
    limit = 300
    here, there = pair.tenant(requests_per_minute=limit)
    first = here.request("GET", "/v1/usage")
    assert first.headers["x-ratelimit-limit-requests"] == str(limit)
    assert first.headers["x-ratelimit-remaining-requests"] == str(limit - 1)
    assert re.fullmatch(r"1m0s|[0-9.]+s", first.headers["x-ratelimit-reset-requests"])
    for _ in range(limit - 100):
        assert here.request("GET", "/v1/usage").status_code == 200
    answers = []

    def hears_of_the_others() -> bool:
        answers.append(there.request("GET", "/v1/usage"))
        return int(answers[-1].headers["x-ratelimit-remaining-requests"]) < 100

    wait_until(hears_of_the_others, seconds=SOON_SECONDS, what="one process to hear of the other")
    while answers[-1].status_code == 200 and len(answers) < limit:
        answers.append(there.request("GET", "/v1/usage"))
    refused = answers[-1]
    assert refused.status_code == 429
    if pair.backend == "redis":
        assert len(answers) == 99 + 1
    assert_waits(refused)
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_running_uploads_are_counted_together_and_none_outlives_its_process(pair: Pair) -> None:
    here, there = pair.tenant(uploads_per_minute=0)
    body = form(b"x" * 2_000_000)
    with Wire(pair.gateway.stack.port) as one, Wire(pair.other.port) as two:
        for wire in one, two:
            wire.send(upload_head(here.key, len(body)) + body[:2_000])
        pair.gateway.wait_for_uploads(here, AT_ONCE)
        for tenant in here, there:
            assert_waits(tenant.upload(b"one too many"))
        one.send(body[2_000:])
        assert one.answer().status == 200
        assert here.upload(b"there is a place again").status_code == 200
        with Wire(pair.other.port) as three:
            three.send(upload_head(here.key, len(body)) + body[:2_000])
            pair.gateway.wait_for_uploads(here, AT_ONCE)
            pair.other.kill("web")
    try:
        assert_waits(here.upload(b"nobody knows yet that they died"))
        pair.gateway.shell("let_time_pass")
        assert here.upload(b"x").status_code == 200
    finally:
        pair.other.restart_web()
