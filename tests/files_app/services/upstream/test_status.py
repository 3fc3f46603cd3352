"""A status that is not final is asked for anew: by a retrieve, and on shared accounts by the sync too."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from pytest_django import Settings

from files_app.models import File, ProviderAccount
from files_app.services.upstream import schedule
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, make_account
from tests.files_app.services.upstream.elsewhere import planted, sync
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

LINE = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode() + b"\n"
#: What each dialect says of a file that is not finished, of one that is, and of one that failed.
WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "azure-openai": (
        {"status": "pending"},
        {"status": "processed"},
        {"status": "error", "status_details": "no good"},
    ),
    "gemini": (
        {"state": "PROCESSING"},
        {"state": "ACTIVE"},
        {"state": "FAILED", "error": {"message": "no good"}},
    ),
    "cohere": (
        {"dataset": {"validation_status": "processing"}},
        {"dataset": {"validation_status": "validated"}},
        {"dataset": {"validation_status": "failed", "validation_error": "no good"}},
    ),
    "fireworks": (
        {"state": "UPLOADING"},
        {"state": "READY"},
        {"state": "UPLOADING", "status": {"code": "INVALID_ARGUMENT", "message": "no good"}},
    ),
    "openai-compatible": (
        {"status": "in_review"},
        {"status": "processed"},
        {"status": "error", "status_details": "no good"},
    ),
}


def made(tenant: Tenant, fake: FakeProvider, driver: str, *, is_shared: bool) -> str:
    """Upload a file at such a provider that its provider has not finished, and return its id."""
    base_url = fake.url({"azure-openai": "azure", "openai-compatible": "openai"}.get(driver, driver))
    options = {"endpoint" if driver == "azure-openai" else "base_url": base_url}
    if driver == "fireworks":
        options["account_id"] = "acme"
    make_account(
        None if is_shared else tenant.organization,
        "theirs",
        driver,
        options=options,
        credentials={"api_key": VALID_KEY},
        list_freshness_seconds=None,
    )
    purpose = "user_data" if driver == "gemini" else "fine-tune"
    created = tenant.api.create(LINE, purpose, "a.jsonl", account="theirs")
    File.objects.update(status="uploaded")  # some fakes are faster than their vendors
    return str(created["id"])


def status_of(tenant: Tenant, file_id: str) -> tuple[str, str | None]:
    shown = tenant.api.get(f"/files/{file_id}").json()
    return shown["status"], shown["status_details"]


@pytest.mark.parametrize("is_shared", [False, True], ids=["owned", "shared"])
@pytest.mark.parametrize("driver", WORDS)
def test_a_retrieve_asks_until_the_status_is_final(
    acme: Tenant, fake: FakeProvider, driver: str, is_shared: bool
) -> None:
    file_id = made(acme, fake, driver, is_shared=is_shared)
    unfinished, processed, _ = WORDS[driver]
    fake.script({"method": "GET"}, behaviours.patched(unfinished))
    assert status_of(acme, file_id) == ("uploaded", None)
    File.objects.update(status_ask_after=None)  # two seconds later
    fake.script({"method": "GET"}, behaviours.patched(processed))
    assert status_of(acme, file_id) == ("processed", None)
    asked = len(fake.requests)
    assert status_of(acme, file_id) == ("processed", None)
    assert len(fake.requests) == asked


@pytest.mark.parametrize("driver", WORDS)
def test_a_file_that_failed_says_so(acme: Tenant, fake: FakeProvider, driver: str) -> None:
    file_id = made(acme, fake, driver, is_shared=True)
    fake.script({"method": "GET"}, behaviours.patched(WORDS[driver][2]))
    assert status_of(acme, file_id) == ("error", "no good")


@pytest.fixture
def unfinished(remote: Tenant) -> str:
    file_id = remote.api.create()["id"]
    File.objects.update(status="uploaded")
    return str(file_id)


def test_clients_that_poll_ask_once_in_two_seconds(
    remote: Tenant, fake: FakeProvider, unfinished: str
) -> None:
    fake.script({"method": "GET", "times": None}, behaviours.patched({"status": "uploaded"}))
    before = len(fake.requests)
    for _ in range(3):
        assert status_of(remote, unfinished) == ("uploaded", None)
    assert len(fake.requests) == before + 1


def test_a_provider_that_hangs_is_asked_once_and_its_answer_kept(
    remote: Tenant, fake: FakeProvider, unfinished: str, settings: Settings
) -> None:
    settings.SYNC_WAIT_SECONDS = 0.1
    fake.script({"method": "GET"}, behaviours.hang(stored=True))
    before = len(fake.requests)
    assert status_of(remote, unfinished) == ("uploaded", None)
    assert status_of(remote, unfinished) == ("uploaded", None)
    fake.release()
    wait_until(
        lambda: all(thread.name != "status" for thread in threading.enumerate()),
        seconds=30,
        what="the question to end",
    )
    assert status_of(remote, unfinished) == ("processed", None)
    assert len(fake.requests) == before + 1


@pytest.mark.parametrize("status", [404, 401, 500])
def test_a_provider_that_does_not_say_leaves_the_index_to_answer(
    remote: Tenant, fake: FakeProvider, unfinished: str, status: int
) -> None:
    fake.script({"method": "GET", "times": None}, behaviours.fail(status))
    assert status_of(remote, unfinished) == ("uploaded", None)


def test_an_account_that_is_switched_off_is_not_asked(
    remote: Tenant, fake: FakeProvider, unfinished: str
) -> None:
    remote.switch_off_accounts()
    before = len(fake.requests)
    assert status_of(remote, unfinished) == ("uploaded", None)
    assert len(fake.requests) == before


def test_the_sync_of_a_shared_account_asks_for_known_files_alone(acme: Tenant, fake: FakeProvider) -> None:
    file_id = made(acme, fake, "openai-compatible", is_shared=True)
    planted(fake)
    ProviderAccount.objects.filter(name="theirs").update(list_freshness_seconds=30)
    before = len(fake.requests)
    schedule.sync_due_accounts()
    assert [request.path for request in fake.requests[before:]] == [f"/openai/v1/files/{file_id}"]
    assert [(file.file_id, file.status) for file in File.objects.all()] == [(file_id, "processed")]
    schedule.sync_due_accounts()  # not due, and nothing left to ask
    assert len(fake.requests) == before + 1


def test_a_sync_takes_a_changed_status_over(remote: Tenant, unfinished: str) -> None:
    sync(remote)
    assert File.objects.get(file_id=unfinished).status == "processed"
