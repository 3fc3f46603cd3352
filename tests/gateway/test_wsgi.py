"""What Django sees of a request, and what a page of its debug mode shows of the process."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests
from django.core.signals import request_finished
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


def request_for(path: str, **more: object) -> dict[str, object]:
    """Return the environment of a GET, as a server makes it."""
    return {
        **{"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"},
        **{
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.input": BytesIO(),
            "wsgi.url_scheme": "http",
        },
        **more,
    }


@pytest.mark.django_db
def test_an_answer_that_is_there_is_handed_over_whole_and_closed() -> None:
    finished: list[object] = []
    request_finished.connect(receiver := lambda **_: finished.append(1), weak=False)
    try:
        body = application(request_for("/healthz"), lambda *_: None)
    finally:
        request_finished.disconnect(receiver)
    assert isinstance(body, list)
    assert json.loads(body[0])["status"] == "ok"
    assert finished == [1]


@pytest.mark.django_db
def test_a_refusal_is_asked_for_piece_by_piece_since_it_reads_the_body_behind_it() -> None:
    refused = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5", "wsgi.input": BytesIO(b"12345")}
    body = application(request_for("/v1/files", **refused), lambda *_: None)
    assert not isinstance(body, list)
    assert b"invalid_api_key" in b"".join(body)
    body.close()  # type: ignore[attr-defined]
