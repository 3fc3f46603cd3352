"""The whole gateway, running, for official clients: with accounts on disk, at the fake and at aimock."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fake_provider import VALID_KEY, FakeProvider
from tests.processes import Process, accepts_connections, free_port, wait_until
from tests.sdk.cache import cached, npm_install
from tests.stack import Stack

AIMOCK_KEY = "sk-probe-for-tests"


@dataclass(frozen=True)
class Gateway:
    """What a client needs to know, and the fake behind the account `openai`."""

    api_url: str
    api_key: str
    stack: Stack
    fake: FakeProvider


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the session's tests, which leave each other's files alone."""
    directory = tmp_path_factory.mktemp("sdk") / "stack"
    # The fake's address stands for a page elsewhere, from which a browser calls.
    with FakeProvider() as fake, Stack(directory, environment={"CORS_ALLOWED_ORIGINS": fake.root}) as stack:
        add_account(stack, "openai", "openai", fake.url("openai"), VALID_KEY)
        yield Gateway(stack.api_url, stack.api_key, stack, fake)


def add_account(stack: Stack, name: str, driver: str, base_url: str, api_key: str) -> None:
    """Add an account to the gateway's one organization, as an operator does."""
    account = {
        "name": name,
        "driver": driver,
        "options": {"base_url": base_url},
        "credentials": {"api_key": api_key},
    }
    config = {"organizations": [{"name": "default", "provider_accounts": [account]}]}
    path = stack.directory / f"{name}.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    stack.manage("apply", str(path))


@pytest.fixture(scope="session")
def aimock(
    gateway: Gateway, need_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real OpenAI-compatible server; the name of the account that stands for it."""
    need_service("Node")
    modules = cached("aimock-1.43.0", npm_install("@copilotkit/aimock@1.43.0"))
    directory = tmp_path_factory.mktemp("aimock")
    fixtures = directory / "fixtures.json"
    fixtures.write_text('{"fixtures": []}', encoding="utf-8")
    port = free_port()
    server = Process(
        [
            *(str(modules / "node_modules" / ".bin" / "llmock"), "-h", "127.0.0.1", "-p", str(port)),
            *("-f", str(fixtures), "--log-level", "warn"),
        ],
        log=directory / "log",
        environment={"PATH": os.environ["PATH"], "AIMOCK_API_KEYS": AIMOCK_KEY},
    )
    server.start()
    try:
        wait_until(lambda: accepts_connections(port), seconds=60, what="aimock to start")
        add_account(gateway.stack, "aimock", "openai-compatible", f"http://127.0.0.1:{port}/v1", AIMOCK_KEY)
        yield "aimock"
    finally:
        server.kill()


@pytest.fixture(params=["local", "openai"])
def account(request: pytest.FixtureRequest) -> str:
    """Each test runs with a file on disk and with one at a provider."""
    return str(request.param)


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """A batch file of some size."""
    line = {"method": "POST", "url": "/v1/responses", "body": {"input": "x" * 1000}}
    path = tmp_path / "märz batch.jsonl"
    lines = [json.dumps({"custom_id": str(n), **line}) for n in range(2000)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
