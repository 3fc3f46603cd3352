"""Downloads whose client leaves, and whose provider stops: never a short success (D8, E7)."""

from __future__ import annotations

import subprocess

import openai
import pytest
import requests

from tests.fake_provider import Behaviour, Match, behaviours
from tests.faults.fronts import Front
from tests.faults.gateway import Gateway, Tenant
from tests.faults.wire import Wire, head

#: More than every socket between provider and client holds.
LARGE = 48 * 1024 * 1024
SIZE, CUT = 8_000_000, 5_000_000  # far enough for the head of the answer to have been sent
CONTENT: Match = {"method": "GET", "path": "/content$"}
SHORT = {
    "length": behaviours.cut_answer(CUT),
    "chunked": behaviours.cut_answer(CUT, framing="chunked"),
    "no framing": behaviours.cut_answer(CUT, framing="close"),
}


def uploaded(tenant: Tenant, size: int) -> str:
    return str(tenant.upload(b"0123456789abcdef" * (size // 16), "a.bin").json()["id"])


def test_a_client_that_leaves_frees_the_provider(gateway: Gateway, front: Front) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant, LARGE)
    for resets in (False, True):
        with Wire(front.port) as wire:
            wire.send(head("GET", f"/v1/files/{file_id}/content", {"Authorization": f"Bearer {tenant.key}"}))
            wire.read_up_to(200_000)
            wire.leave(resets=resets)
        gateway.fake.wait_until_idle(timeout_seconds=10)  # two seconds are promised


def test_a_client_that_does_not_read_holds_the_provider_back(gateway: Gateway, front: Front) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant, LARGE)
    with Wire(front.port) as wire:
        wire.send(head("GET", f"/v1/files/{file_id}/content", {"Authorization": f"Bearer {tenant.key}"}))
        wire.read_up_to(100_000)
        with pytest.raises(TimeoutError):
            gateway.fake.wait_until_idle(timeout_seconds=0.5)
        assert tenant.usage()[2] == 1  # others are served meanwhile
    gateway.fake.wait_until_idle(timeout_seconds=10)


@pytest.mark.parametrize("how", SHORT)
def test_a_provider_that_stops_breaks_the_download(gateway: Gateway, front: Front, how: str) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant, SIZE)
    url = f"http://127.0.0.1:{front.port}/v1/files/{file_id}/content"

    gateway.fake.script(CONTENT, SHORT[how])
    with pytest.raises(requests.RequestException):
        requests.get(url, headers=tenant.headers, timeout=30)

    gateway.fake.script(CONTENT, SHORT[how])
    curl = ["curl", "-sS", "-o", "/dev/null", "-H", f"Authorization: Bearer {tenant.key}", url]
    assert subprocess.run(curl, timeout=30, check=False, capture_output=True).returncode == 18

    gateway.fake.script(CONTENT, SHORT[how])
    with (
        openai.OpenAI(
            base_url=f"http://127.0.0.1:{front.port}/v1", api_key=tenant.key, max_retries=0
        ) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.files.content(file_id)

    assert len(tenant.content(file_id).content) == SIZE


@pytest.mark.parametrize(
    "answer",
    [behaviours.shortened_answer(999_999), behaviours.fail(500), behaviours.drop()],
    ids=["another size", "500", "dropped"],
)
def test_what_is_known_before_the_first_byte_is_an_error(
    gateway: Gateway, front: Front, answer: Behaviour
) -> None:
    tenant = gateway.tenant()
    file_id = uploaded(tenant, 1_000_000)
    gateway.fake.script({"method": "GET", "path": "/content$", "times": 2}, answer)
    refused = requests.get(
        f"http://127.0.0.1:{front.port}/v1/files/{file_id}/content", headers=tenant.headers, timeout=30
    )
    assert refused.status_code == 502
    assert refused.json()["error"]["message"]
