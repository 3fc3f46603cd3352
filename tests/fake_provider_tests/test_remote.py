"""The fake as a process of its own, driven over its control routes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.fake_provider import RemoteFakeProvider, behaviours
from tests.fake_provider_tests.client import TIMEOUT, FormField, post_form

FORM: list[FormField] = [("purpose", (None, "batch")), ("file", ("a.jsonl", b"{}\n"))]


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteFakeProvider]:
    command = [sys.executable, "-m", "tests.fake_provider", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield RemoteFakeProvider(**json.loads(process.stdout.readline()))
        process.terminate()
        assert process.wait(TIMEOUT) == 0


@pytest.fixture
def fake(remote: RemoteFakeProvider) -> RemoteFakeProvider:
    remote.reset()
    return remote


def upload(fake: RemoteFakeProvider) -> requests.Response:
    return post_form(f"{fake.url('openai')}/files", FORM)


def test_files_can_be_planted_seen_and_removed(fake: RemoteFakeProvider) -> None:
    planted = fake.add_file(
        "mistral", filename="out", content=b"\x00\xff", extra={"sample_type": "batch_result"}
    )
    assert fake.store("mistral") == [planted]
    assert fake.store("mistral")[0].content() == b"\x00\xff"
    assert fake.remove_file("mistral", planted.remote_id)
    assert not fake.remove_file("mistral", planted.remote_id)


def test_requests_come_back_as_they_were_recorded(fake: RemoteFakeProvider) -> None:
    upload(fake)
    [record] = fake.requests
    assert (record.part_names, record.status, record.body_complete) == (["purpose", "file"], 200, True)
    assert record.parts[1].headers.get("content-disposition") is not None


def test_behaviours_travel_whole(fake: RemoteFakeProvider) -> None:
    fake.script({"path": "/files$"}, behaviours.answer(418, b"\xff\x00", headers=[("X-Odd", "1")]))
    fake.script({"path": "/files$"}, behaviours.patched({"bytes": -1}, without=["object"]))
    assert fake.unused_behaviours() == 2
    odd = upload(fake)
    assert (odd.status_code, odd.content, odd.headers["X-Odd"]) == (418, b"\xff\x00", "1")
    body = upload(fake).json()
    assert body["bytes"] == -1
    assert "object" not in body


def test_a_pause_can_be_awaited_and_released(fake: RemoteFakeProvider) -> None:
    fake.script({"method": "POST"}, behaviours.pause(after_body_bytes=1))
    thread = threading.Thread(target=upload, args=[fake])
    thread.start()
    fake.wait_until_paused()
    assert fake.store("openai") == []
    fake.release()
    thread.join(TIMEOUT)
    fake.wait_until_idle()
    assert len(fake.store("openai")) == 1


def test_mistakes_are_reported(fake: RemoteFakeProvider) -> None:
    with pytest.raises(TimeoutError):
        fake.wait_until_paused(timeout_seconds=0.01)
    with pytest.raises(ValueError, match="nobody"):
        fake.store("nobody")
