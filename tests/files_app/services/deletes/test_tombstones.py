"""Tombstones go when they are old, their provider has confirmed the delete, and a whole list lacked them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.utils import timezone

from files_app.models import AuditEvent, File, FileCopy, IdempotencyRecord
from files_app.models.copies import GIVEN_UP
from files_app.services.deletes import tombstones
from files_app.services.operations.cleanup import prune_records
from files_app.services.upstream import sync as sync_service
from files_app.services.upstream.pages import RemoteList
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, deliver_deletes
from tests.files_app.rows import force
from tests.files_app.services.upstream.elsewhere import sync, sync_after


def deleted(remote: Tenant) -> str:
    file_id = str(remote.api.create()["id"])
    remote.api.delete(f"/files/{file_id}")
    deliver_deletes()
    return file_id


def pruned(days: float) -> int:
    with time_machine.travel(timezone.now() + timedelta(days=days)):
        return tombstones.prune_tombstones()


def test_a_tombstone_goes_after_thirty_days(remote: Tenant, fake: FakeProvider) -> None:
    kept = remote.api.create()["id"]
    file_id = deleted(remote)
    sync_after(remote, 1)
    assert remote.api.listed(after=file_id)["data"] != []
    assert pruned(29.9) == 0
    assert pruned(30.1) == 1
    assert [file.file_id for file in File.objects.all()] == [kept]
    assert FileCopy.objects.count() == 1
    answer = remote.api.get("/files", query={"after": file_id})
    assert (answer.status, answer.error["param"]) == (400, "after")
    assert AuditEvent.objects.filter(object_id=file_id, action="file.delete").exists()


def test_a_tombstone_stays_until_a_complete_list_lacks_it(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted(remote)
    assert pruned(40) == 0
    with monkeypatch.context() as patch:
        patch.setattr(sync_service, "RemoteList", partial(RemoteList, max_pages=0))
        sync_after(remote, 1)
    assert pruned(40) == 0
    sync_after(remote, 1)
    assert pruned(40) == 1


def test_what_a_list_shows_after_its_delete_stays(remote: Tenant, fake: FakeProvider) -> None:
    file_id = deleted(remote)
    fake.add_file("openai", filename="a", purpose="batch", content=b"x", remote_id=file_id)
    sync_after(remote, 1)
    assert pruned(40) == 0


def test_a_list_that_began_before_the_delete_says_nothing(remote: Tenant) -> None:
    deleted(remote)
    with time_machine.travel(timezone.now() - timedelta(minutes=5)):
        sync(remote)
    assert FileCopy.objects.get().unlisted_at is None


@pytest.mark.parametrize("state", ["dead", "unconfirmed", "deleting"])
def test_what_a_provider_may_still_have_is_never_forgotten(remote: Tenant, state: str) -> None:
    deleted(remote)
    sync_after(remote, 1)
    force(FileCopy.objects, state=state)
    assert pruned(400) == 0
    assert File.objects.count() == 1


def test_a_delete_that_was_given_up_is_not_confirmed(remote: Tenant) -> None:
    deleted(remote)
    sync_after(remote, 1)
    FileCopy.objects.update(last_error=f"{GIVEN_UP}the account was closed")
    assert pruned(400) == 0


def test_one_copy_that_is_not_over_keeps_the_file(remote: Tenant) -> None:
    deleted(remote)
    sync_after(remote, 1)
    copy = FileCopy.objects.get()
    FileCopy.objects.create(file=copy.file, account=copy.account, state="dead", remote_id="other")
    assert pruned(400) == 0


def test_the_hourly_pruning_takes_tombstones_along(remote: Tenant) -> None:
    deleted(remote)
    sync_after(remote, 1)
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        assert prune_records() == 1


def test_many_go_in_batches(remote: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "_BATCH", 2)
    for _ in range(5):
        deleted(remote)
    sync_after(remote, 1)
    assert pruned(31) == 5
    assert not File.objects.exists()


def test_the_record_of_an_idempotent_upload_outlives_its_file(remote: Tenant) -> None:
    file_id = remote.api.create(headers={"Idempotency-Key": "once"})["id"]
    remote.api.delete(f"/files/{file_id}")
    deliver_deletes()
    sync_after(remote, 1)
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        assert tombstones.prune_tombstones() == 1
    assert IdempotencyRecord.objects.get().file is None


def test_events_are_pruned_in_batches(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("files_app.models.records._PRUNED", 2)
    for _ in range(5):
        acme.api.create()
    before = AuditEvent.objects.count()
    assert AuditEvent.objects.prune(timezone.now() + timedelta(days=1)) == before
    assert not AuditEvent.objects.exists()
