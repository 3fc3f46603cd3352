"""A provider's answer to an upload is lost (B7): what it stored is found and deleted, or reported."""

from __future__ import annotations

import threading

import pytest
import requests

from tests.fake_provider import Behaviour, Match, behaviours
from tests.faults.gateway import Gateway, Tenant, sha256_at

UPLOAD: Match = {"method": "POST", "path": "/files$"}


def unconfirmed_metric(gateway: Gateway) -> int:
    text = requests.get(f"{gateway.stack.url}/metrics", timeout=10).text
    [line] = [line for line in text.splitlines() if line.startswith("files_gateway_unconfirmed_copies ")]
    return int(float(line.split()[1]))


@pytest.mark.parametrize(
    "answer",
    [
        behaviours.store_then_drop(),
        behaviours.fail(500, stored=True),
        behaviours.fail(503, stored=True),
        behaviours.html(stored=True),
        behaviours.garbage(stored=True),
        behaviours.success_with_error(stored=True),
        behaviours.without_id(),
        behaviours.patched({"id": 7}),
        behaviours.patched({"bytes": 1}),
        behaviours.huge_json(),
        behaviours.cut_answer(20),
    ],
    ids=[
        *("dropped", "500", "503", "html", "garbage", "error inside", "no id", "id is a number"),
        *("wrong size", "huge", "cut"),
    ],
)
def test_a_file_of_an_owned_account_is_found_and_deleted(gateway: Gateway, answer: Behaviour) -> None:
    tenant = gateway.tenant()
    kept = tenant.upload(b"kept", "same.txt").json()["id"]
    gateway.fake.script(UPLOAD, answer)
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
    assert unconfirmed_metric(gateway) == before + 1
    tenant.assert_empty()


def test_an_upstream_that_two_organizations_see_is_left_alone(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    gateway.tenant()  # another organization with the same endpoint and key
    gateway.fake.script(UPLOAD, behaviours.store_then_drop())
    assert tenant.upload(b"lost").status_code == 502
    gateway.recover()
    assert len(sha256_at(gateway.fake)) == 1


def test_two_files_that_could_be_meant_are_both_left(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    gateway.fake.script(UPLOAD, behaviours.store_then_drop())
    assert tenant.upload(b"lost", "a.txt").status_code == 502
    gateway.fake.add_file("openai", filename="a.txt", content=b"mine", purpose="evals")
    gateway.recover()
    assert len(sha256_at(gateway.fake)) == 2
    assert gateway.in_state(tenant, "copies", "unconfirmed") == 1


def test_a_file_made_elsewhere_is_never_taken_for_a_lost_one(gateway: Gateway) -> None:
    """An upload dies before its last byte, and the provider writes a batch's output at that moment."""
    tenant = gateway.tenant()
    gateway.fake.script(UPLOAD, behaviours.drop(after_body_bytes=100))
    assert tenant.upload(b"x" * 100_000).status_code == 502
    output = gateway.fake.add_file("openai", filename="out.jsonl", content=b"{}", purpose="batch_output")
    gateway.recover()
    assert set(sha256_at(gateway.fake)) == {output.remote_id}


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


def test_a_clear_refusal_is_not_searched_for(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    gateway.fake.script(UPLOAD, behaviours.fail(400))
    assert tenant.upload(b"no").status_code == 400
    assert gateway.shell("states", organization=tenant.organization)["copies"] == {"failed": 1}


def test_an_id_that_another_file_has_is_refused_and_that_file_stays(gateway: Gateway) -> None:
    tenant: Tenant = gateway.tenant()
    first = tenant.upload(b"first", "first.txt").json()["id"]
    gateway.fake.script(UPLOAD, behaviours.patched({"id": first}))
    assert tenant.upload(b"other", "other.txt").status_code == 502
    gateway.recover()
    tenant.assert_holds({first: b"first"})
    assert first in sha256_at(gateway.fake)
    gateway.assert_no_drift()


def test_a_closed_port_reserves_nothing(gateway: Gateway) -> None:
    account = gateway.account()
    account["options"] = {"base_url": "http://127.0.0.1:9/v1"}
    tenant = gateway.tenant(account)
    answer = tenant.upload(b"never sent")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unavailable")
    tenant.assert_empty()
    assert gateway.shell("states", organization=tenant.organization)["copies"] == {"failed": 1}
