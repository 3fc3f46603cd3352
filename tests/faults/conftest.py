"""Gateways to break. One serves many tests; each test has an organization of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fake_provider import FakeProvider
from tests.faults import fronts
from tests.faults.fronts import Front
from tests.faults.gateway import Gateway
from tests.stack import Stack

#: Short enough for a test to wait for; the leases themselves are let run out by the shell.
QUICK = {
    "PROVIDER_READ_TIMEOUT_SECONDS": "20",
    "UPLOAD_LEASE_SECONDS": "30",
    "LIST_FRESHNESS_SECONDS": "0",
    "CLEANUP_PROTECTION_SECONDS": "1",
}

#: For tests of what one tenant and one provider do, again and again.
PERMISSIVE = {
    "KEY_SHARE": "75",
    "ACCOUNT_SHARE": "75",
    "ORGANIZATION_SHARE": "75",
    "BREAKER_FAILURES": "1000",
}


@pytest.fixture(scope="session")
def running_fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(running_fake: FakeProvider) -> Iterator[FakeProvider]:
    """The fake provider, without files and script."""
    running_fake.reset()
    yield running_fake
    running_fake.reset()


@pytest.fixture(scope="session")
def running_gateway(
    running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    environment = QUICK | PERMISSIVE
    stack = Stack(tmp_path_factory.mktemp("gateway"), environment=environment)
    with Gateway(stack, running_fake) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: Gateway, fake: FakeProvider) -> Gateway:
    """A web server on SQLite and a shell; no worker. It is started again after a test killed it."""
    if not running_gateway.stack.processes["web"].is_running:
        running_gateway.stack.restart_web()
    running_gateway.shell("retire_accounts")
    return running_gateway


@pytest.fixture(scope="session", params=["granian", "gunicorn", "nginx"])
def front(
    request: pytest.FixtureRequest, running_gateway: Gateway, need_service: Callable[[str], str]
) -> Iterator[Front]:
    """Each way to reach the gateway; all serve the same data."""
    stack = running_gateway.stack
    if request.param == "granian":
        yield Front("granian", stack.port, stack.directory / "web.log")
    elif request.param == "gunicorn":
        with fronts.gunicorn(stack) as front:
            yield front
    else:
        with fronts.nginx(need_service("nginx"), stack) as front:
            yield front
