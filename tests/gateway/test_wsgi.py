"""What Django sees of a request, and what a page of its debug mode shows of the process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests
from pytest_django.fixtures import Settings

from gateway.wsgi import application
from tests.processes import START_TIMEOUT_SECONDS, accepts_connections, wait_until
from tests.stack import Stack


def canary() -> str:
    return f"canary{secrets.token_hex(20)}"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A web server in debug mode, with secrets of ours and of others in its environment."""
    environment = {
        "DEBUG": "true",
        "METRICS_TOKEN": canary(),
        "THROTTLE_STORAGE_URL": f"redis://:{canary()}@127.0.0.1:9/0",
        "UNRELATED": canary(),
        "HTTP_PROXY": f"http://{canary()}.example.org",
        "with.dots": canary(),
    }
    stack = Stack(tmp_path, environment=environment)
    stack.start("web")
    try:
        wait_until(lambda: accepts_connections(stack.port), seconds=START_TIMEOUT_SECONDS, what="the server")
        yield stack
    finally:
        stack.stop()


def test_an_error_page_shows_nothing_of_the_environment(stack: Stack) -> None:
    """A wrong host is the error that any client can cause."""
    headers = {"Host": "elsewhere.example.org", "X-Shown": "as it came"}
    page = requests.get(f"{stack.url}/v1/files", headers=headers, timeout=30)
    assert page.status_code == 400
    assert "DisallowedHost" in page.text
    assert "as it came" in page.text
    assert "canary" not in page.text


def test_debug_serves_only_this_host_whatever_a_foreign_server_binds(settings: Settings) -> None:
    settings.DEBUG = True
    said: list[str] = []
    request = {"REMOTE_ADDR": "203.0.113.9", "wsgi.input": BytesIO()}
    body = application(request, lambda status, headers: said.append(status))
    assert said == ["403 Forbidden"]
    assert b"Unset DEBUG" in b"".join(body)
