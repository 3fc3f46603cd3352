"""A refusal reaches clients that are still sending, directly and behind both of our nginx files.

`make clients` does it with more clients, more refusals and 200 tries each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sdk.cache import run
from tests.sdk.conftest import Gateway
from tests.stack import PROJECT
from tests.test_deploy import proxy

CLIENTS = PROJECT / "benchmarks" / "refusals"
BYTES = 16 * 1024 * 1024 - 1024  # what a stranger's body may have is 16 MiB with its form
TRIES = 3


@pytest.fixture(params=["direct", "streaming.conf", "buffering.conf"])
def port(
    request: pytest.FixtureRequest, gateway: Gateway, need_service: Callable[[str], str], tmp_path: Path
) -> Iterator[int]:
    if request.param == "direct":
        yield gateway.stack.port
        return
    with proxy(need_service("nginx"), tmp_path, gateway.stack.port, request.param) as port:
        yield port


def test_a_wrong_key_reaches_an_asynchronous_client(port: int, tmp_path: Path) -> None:
    assert outcomes(port, tmp_path, sys.executable, CLIENTS / "clients.py", "openai-async") == {"401": TRIES}


def test_a_wrong_key_reaches_nodes_fetch(
    port: int, tmp_path: Path, need_service: Callable[[str], str]
) -> None:
    assert outcomes(port, tmp_path, need_service("Node"), CLIENTS / "clients.mjs", "fetch") == {"401": TRIES}


def outcomes(port: int, directory: Path, *command: str | Path) -> dict[str, int]:
    url = f"http://127.0.0.1:{port}/v1"
    printed = run(*command, url, "wrong-key", "user_data", str(BYTES), str(TRIES), cwd=directory)
    found: dict[str, int] = json.loads(printed)
    return found
