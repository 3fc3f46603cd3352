"""A client that claims many addresses, through granian and nginx: limits by address count one (A13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
import requests

from tests.faults import fronts
from tests.stack import Stack

LIMIT = 20
#: What our proxy says when it stands before granian as one that passes all other headers on.
SAID_BY_PROXY = {"Forwarded": "for=203.0.113.9", "X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A web server behind a proxy."""
    environment = {"PROXY_COUNT": "1", "WRONG_KEYS_PER_MINUTE": str(LIMIT)}
    stack = Stack(tmp_path_factory.mktemp("proxied"), environment=environment)
    try:
        stack.prepare()
        stack.start("web")
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module", params=["granian", "nginx"])
def port(request: pytest.FixtureRequest, stack: Stack, need_service: Callable[[str], str]) -> Iterator[int]:
    if request.param == "granian":
        yield stack.port
    else:
        with fronts.nginx(need_service("nginx"), stack) as front:
            yield front.port


def forged(port: int, stack: Stack, number: int) -> Mapping[str, str]:
    """Return the headers of a client that claims another address each time, in every spelling."""
    claim = f"198.51.100.{number}"
    if port == stack.port:
        return {**SAID_BY_PROXY, "X_Forwarded_For": claim, "X-Real-IP": claim, "X_Real_IP": claim}
    return {"Forwarded": f"for={claim}", "X_Forwarded_For": claim, "X-Forwarded-For": claim}


def test_wrong_keys_are_counted_for_one_address(stack: Stack, port: int) -> None:
    answers = [
        requests.get(
            f"http://127.0.0.1:{port}/v1/files",
            headers={"Authorization": "Bearer wrong", **forged(port, stack, number)},
            timeout=10,
        ).status_code
        for number in range(LIMIT + 10)
    ]
    assert answers == [401] * LIMIT + [429] * 10


def test_wrong_passwords_lock_the_login_of_one_address(stack: Stack, port: int) -> None:
    url = f"http://127.0.0.1:{port}/admin/login/"
    with requests.Session() as browser:
        token = browser.get(url, timeout=10).cookies["csrftoken"]
        answers = [
            browser.post(
                url,
                data={"username": "admin", "password": "wrong", "csrfmiddlewaretoken": token},
                headers=forged(port, stack, number),
                timeout=10,
            ).status_code
            for number in range(6)
        ]
    assert answers[0] == 200
    assert answers[-1] == 429
