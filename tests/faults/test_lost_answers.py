"""A provider's answer to an upload is lost (B7): what it stored is found and deleted, or reported.

Which answers count as lost and which files as found is tested in the room of what is upstream.
"""

from __future__ import annotations

import json
import threading

import requests

from tests.fake_provider import Match, behaviours
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, sha256_at
from tests.faults.wire import Wire, form, upload_head
from tests.processes import wait_until

UPLOAD: Match = {"method": "POST", "path": "/files$"}


def unconfirmed_metric(gateway: Gateway) -> int:
    text = requests.get(f"{gateway.stack.url}/metrics", timeout=10).text
    [line] = [line for line in text.splitlines() if line.startswith("files_gateway_unconfirmed_copies ")]
    return int(float(line.split()[1]))


def test_a_file_of_an_owned_account_is_found_and_deleted(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    kept = tenant.upload(b"kept", "same.txt").json()["id"]
    gateway.fake.script(UPLOAD, behaviours.store_then_drop())
    refused = tenant.upload(b"lost", "same.txt")
    assert refused.status_code == 502
    assert set(refused.json()["error"]) == {"message", "type", "param", "code"}
    assert len(sha256_at(gateway.fake)) == 2
    tenant.assert_holds({kept: b"kept"})
    gateway.recover()
    assert set(sha256_at(gateway.fake)) == {kept}
    tenant.assert_holds({kept: b"kept"})


def test_a_file_of_a_shared_account_is_left_and_reported(gateway: Gateway) -> None:
    shared = gateway.account(is_shared=True, is_default=False)
    tenant = gateway.tenant(gateway.local(), shared)
    gateway.recover()  # what earlier tests left undone is counted too
    before = unconfirmed_metric(gateway)
    gateway.fake.script(UPLOAD, behaviours.store_then_drop())
    assert tenant.upload(b"lost", account=shared["name"]).status_code == 502
    gateway.recover()
    assert len(sha256_at(gateway.fake)) == 1
    assert gateway.in_state(tenant, "copies", "unconfirmed") == 1
    # What is exposed may be a second old.
    wait_until(lambda: unconfirmed_metric(gateway) == before + 1, seconds=10, what="the metric to follow")
    tenant.assert_empty()


def test_an_upload_in_flight_is_never_taken_for_a_lost_one(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    gateway.fake.script(UPLOAD, behaviours.fail(500))
    assert tenant.upload(b"same", "same.txt").status_code == 502  # may be there, is not
    gateway.fake.script(UPLOAD, behaviours.hang(stored=True))
    answers: list[requests.Response] = []
    upload = threading.Thread(target=lambda: answers.append(tenant.upload(b"same", "same.txt")))
    upload.start()
    gateway.fake.wait_until_paused()  # stored, and the index does not know the id
    gateway.shell("search_all")
    gateway.shell("deliver_deletes")
    gateway.fake.release()
    upload.join()
    assert answers[0].status_code == 200
    gateway.recover()
    tenant.assert_holds({answers[0].json()["id"]: b"same"})
    assert set(sha256_at(gateway.fake)) == {answers[0].json()["id"]}


def test_a_connection_that_is_closed_as_the_next_upload_begins_loses_and_doubles_nothing(
    gateway: Gateway,
) -> None:
    """A provider closes what is idle when it likes. It had not got the end: the upload begins anew."""
    tenant = gateway.tenant()
    first = tenant.upload(b"first", "first.txt").json()["id"]  # and its connection is kept
    gateway.fake.script(UPLOAD, behaviours.drop(after_body_bytes=1, resets=True))
    content = bytes(range(256)) * 8_000  # more than is read whole before anything is sent
    body = form(content)
    with Wire(gateway.stack.port, timeout=PATIENCE_SECONDS) as wire:
        wire.send(upload_head(tenant.key, len(body)) + body[:600_000])
        wait_until(lambda: len(gateway.fake.requests) >= 2, seconds=PATIENCE_SECONDS, what="its beginning")
        wait_until(lambda: _is_dropped(gateway), seconds=PATIENCE_SECONDS, what="the end of that connection")
        wire.send(body[600_000:])
        answer = wire.answer()
    assert answer.status == 200, answer.body
    second = json.loads(answer.body)["id"]
    tenant.assert_holds({first: b"first", second: content})
    assert set(sha256_at(gateway.fake)) == {first, second}
    assert len(gateway.fake.requests) >= 3  # the beginning, which was dropped, and all of it
    gateway.assert_no_drift()


def _is_dropped(gateway: Gateway) -> bool:
    """Whether the provider has dropped its second request; the third may be there by then, and waits."""
    try:
        gateway.fake.wait_until_idle(0.05)
    except TimeoutError:
        return len(gateway.fake.requests) > 2
    return True
