"""An upload whose answer was lost: what it stored is found and deleted, or left to an operator."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import CopyState, File, FileCopy
from files_app.services.index.callers import system_caller
from files_app.services.uploads.failure import abandon_upload
from files_app.services.upstream import lost_answers
from files_app.services.upstream.lost_answers import search_unconfirmed
from providers.base import Driver
from tests.fake_provider import Behaviour, FakeProvider, behaviours
from tests.files_app.cast import Tenant, openai_account
from tests.files_app.services.uploads.failing import CONTENT, failed_upload, heal


@pytest.mark.parametrize(
    "behaviour",
    [
        behaviours.store_then_drop(),
        behaviours.fail(500, stored=True),
        behaviours.fail(503, stored=True),
        behaviours.html(stored=True),
        behaviours.garbage(stored=True),
        behaviours.success_with_error(stored=True),
        behaviours.without_id(),
        behaviours.patched({"id": 17}),
        behaviours.patched({"id": ""}),
        behaviours.patched({"id": "../../files"}),
        behaviours.patched({"id": "a" * 300}),
        behaviours.patched({"id": "a\r\nX: y"}),
        behaviours.huge_json(),
        behaviours.cut_answer(20),
        behaviours.answer(200, b"[]", stored=True),
        behaviours.answer(200, b"", stored=True),
        behaviours.answer(200, b"[" * 100_000, stored=True),
        behaviours.patched({"bytes": 5}),
    ],
)
def test_a_file_whose_answer_was_lost_is_found_and_deleted(
    remote: Tenant, fake: FakeProvider, behaviour: Behaviour
) -> None:
    bystander = fake.add_file("openai", filename="other.txt", content=b"made elsewhere")
    reply = failed_upload(remote, fake, behaviour)
    assert (reply.status, reply.error["type"]) == (502, "server_error")
    heal()
    assert [stored.remote_id for stored in fake.store("openai")] == [bystander.remote_id]
    assert FileCopy.objects.get().state in {"deleted", "failed"}


def test_a_lost_answer_on_a_shared_upstream_is_left_to_an_operator(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    openai_account(other.organization, fake)
    failed_upload(remote, fake, behaviours.store_then_drop())
    heal()
    assert len(fake.store("openai")) == 1
    assert FileCopy.objects.get().state == CopyState.UNCONFIRMED


def test_a_lost_answer_with_two_candidates_is_left_to_an_operator(remote: Tenant, fake: FakeProvider) -> None:
    failed_upload(remote, fake, behaviours.store_then_drop())
    fake.add_file("openai", filename="a.txt", content=CONTENT)
    heal()
    assert len(fake.store("openai")) == 2
    assert FileCopy.objects.get().state == CopyState.UNCONFIRMED


def test_a_file_of_the_same_name_that_the_index_holds_stays(remote: Tenant, fake: FakeProvider) -> None:
    kept = remote.api.create(CONTENT)
    fake.script({"method": "POST"}, behaviours.store_then_drop())
    assert remote.api.upload(CONTENT).status == 502
    assert len(fake.store("openai")) == 2
    heal()
    assert [each.remote_id for each in fake.store("openai")] == [kept["id"]]
    assert remote.api.listed()["data"] == [kept]


def test_a_file_made_elsewhere_meanwhile_is_not_taken_for_a_lost_one(
    remote: Tenant, fake: FakeProvider
) -> None:
    """The upload died before its last byte, and the provider wrote a batch's output at that moment."""
    failed_upload(remote, fake, behaviours.drop(after_body_bytes=100))
    output = fake.add_file("openai", filename="out.jsonl", content=b"{}", purpose="batch_output")
    heal()
    assert [each.remote_id for each in fake.store("openai")] == [output.remote_id]


def test_the_search_for_a_lost_file_spares_an_upload_in_flight(remote: Tenant, fake: FakeProvider) -> None:
    """The second upload is stored and not settled yet: it looks just like the lost first one."""
    failed_upload(remote, fake, behaviours.drop())
    first = File.objects.get()
    lost = FileCopy.objects.get()
    running = File.objects.create(
        organization=remote.organization, account=first.account, file_id="file-running", filename="a.txt"
    )
    FileCopy.objects.create(file=running, account=first.account)
    stored = fake.add_file("openai", filename="a.txt", content=CONTENT)
    heal()
    assert [each.remote_id for each in fake.store("openai")] == [stored.remote_id]
    lost.refresh_from_db()
    assert lost.state == CopyState.UNCONFIRMED


def test_of_two_searches_at_once_one_asks(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_upload(remote, fake, behaviours.store_then_drop())
    searched = lost_answers._search

    def search_meanwhile(copy: FileCopy, driver: Driver) -> tuple[str | None, bool]:
        assert search_unconfirmed() == 0  # another worker
        return searched(copy, driver)

    monkeypatch.setattr(lost_answers, "_search", search_meanwhile)
    assert lost_answers.search_soon() == 1
    assert FileCopy.objects.get().state == "deleting"
    assert len([request for request in fake.requests if request.method == "GET"]) == 1


def test_the_search_ends_after_a_day(remote: Tenant, fake: FakeProvider) -> None:
    failed_upload(remote, fake, behaviours.drop())
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        search_unconfirmed()
    assert FileCopy.objects.get().state == "failed"


def test_a_store_that_does_not_show_the_object_yet_is_asked_again(acme: Tenant) -> None:
    file = File.objects.create(
        organization=acme.organization, account=acme.accounts["local"], file_id="file-" + "a" * 26
    )
    copy = FileCopy.objects.create(file=file, account=file.account)
    abandon_upload(file, copy, caller=system_caller(), reason="no answer", may_be_stored=True)
    search_unconfirmed()
    copy.refresh_from_db()
    assert copy.state == CopyState.UNCONFIRMED
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        search_unconfirmed()
    copy.refresh_from_db()
    assert copy.state == CopyState.FAILED
