"""A file is lost only when its provider says so twice, and never because a list was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import CopyState, File, FileCopy, ProviderAccount
from files_app.services.deletes.outbox import delete_file
from files_app.services.index.callers import system_caller
from files_app.services.upstream.lost import find_again
from files_app.services.upstream.sync import sync_account
from providers.exceptions import InvalidResponseError, ProviderUnavailableError
from providers.openai import OpenAIDriver
from providers.openai_compatible import Dialect
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.services.upstream.elsewhere import ids, lose, planted, sync_after

#: A list that shows nothing, as one does that lags.
NOTHING = behaviours.patched({"data": []})


def lags(fake: FakeProvider, file_id: str, times: int | None = None) -> None:
    """Let lists and retrieves not show a file that is there, for so many questions each."""
    fake.script({"method": "GET", "path": "/files$", "times": times}, NOTHING)
    fake.script({"method": "GET", "path": f"{file_id}$", "times": times}, behaviours.fail(404))


def test_a_file_is_lost_only_when_list_and_retrieve_agree(remote: Tenant, fake: FakeProvider) -> None:
    kept, gone = remote.api.create(b"kept")["id"], remote.api.create(b"gone")["id"]
    fake.remove_file("openai", gone)
    lose(remote)
    assert ids(remote) == [kept]
    assert File.objects.get(file_id=gone).state == "lost"
    assert counters(remote.organization) == (4, 0, 1)
    assert remote.api.get(f"/files/{gone}").status == 404


def test_a_young_file_is_not_lost_however_often_it_is_missed(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"young")["id"]
    lags(fake, file_id)
    for minutes in (0, 1, 3, 14):
        sync_after(remote, minutes)
    assert ids(remote) == [file_id]
    assert counters(remote.organization) == (5, 0, 1)
    assert remote.api.delete(f"/files/{file_id}").status == 200


def test_two_misses_within_a_minute_are_one_and_one_is_none(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    lags(fake, file_id, times=2)
    for minutes in (16, 16.5, 18):
        sync_after(remote, minutes)
        assert ids(remote) == [file_id], minutes
    assert FileCopy.objects.get().missing_since is None


def test_a_file_that_is_seen_between_two_misses_is_not_lost(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    lags(fake, file_id, times=1)
    sync_after(remote, 16)
    sync_after(remote, 18)
    lags(fake, file_id, times=1)
    sync_after(remote, 20)
    assert ids(remote) == [file_id]
    assert FileCopy.objects.get().missing_since is not None


def test_a_lost_file_that_is_back_is_taken_back(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"back")["id"]
    fake.remove_file("openai", file_id)
    lose(remote)
    assert ids(remote) == []
    fake.add_file("openai", remote_id=file_id, filename="a.txt", content=b"back", purpose="user_data")
    sync_after(remote, 20)
    assert ids(remote) == [file_id]
    assert counters(remote.organization) == (4, 0, 1)


def test_a_lost_file_that_a_client_deletes_is_never_taken_back(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"back")["id"]
    lags(fake, file_id)
    lose(remote)
    assert remote.api.delete(f"/files/{file_id}").json()["deleted"] is True
    assert remote.api.delete(f"/files/{file_id}").status == 404
    fake.app.scripted.clear()
    sync_after(remote, 20)
    assert ids(remote) == []
    assert counters(remote.organization) == (0, 0, 0)
    deliver_deletes()
    assert fake.store("openai") == []
    assert File.objects.get().state == "deleted"


def test_a_lost_file_whose_id_was_uploaded_again_stays_lost(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"back")["id"]
    fake.remove_file("openai", file_id)
    lose(remote)
    fake.script({"method": "POST"}, behaviours.patched({"id": file_id}))
    assert remote.api.create(b"once more")["id"] == file_id
    fake.add_file("openai", remote_id=file_id, filename="a.txt", content=b"once more", purpose="user_data")
    sync_after(remote, 20)
    lost = FileCopy.objects.get(state=CopyState.LOST)
    assert find_again(lost) is False
    assert ids(remote).count(file_id) == 1
    delete_file(lost.file, caller=system_caller(remote.organization.pk))  # leaves the new one alone
    assert File.objects.get(pk=lost.file_id).state == "deleted"
    assert ids(remote).count(file_id) == 1
    assert counters(remote.organization) == (9, 0, 1)


def test_a_store_that_seems_empty_loses_nothing(remote: Tenant, fake: FakeProvider) -> None:
    """A wrong key and an unmounted disk look like this."""
    uploaded = {remote.api.create(b"%d" % number)["id"] for number in range(12)}
    for file_id in uploaded:
        fake.remove_file("openai", file_id)
    for minutes in (16, 18):
        with (
            time_machine.travel(timezone.now() + timedelta(minutes=minutes)),
            pytest.raises(InvalidResponseError, match="lacks 12 of 12"),
        ):
            sync_account(ProviderAccount.objects.get(name="openai"))
    assert set(ids(remote)) == uploaded


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_provider_that_fails_loses_nothing(remote: Tenant, fake: FakeProvider, status: int) -> None:
    file_id = remote.api.create()["id"]
    fake.remove_file("openai", file_id)
    fake.script({"path": f"{file_id}$", "times": None}, behaviours.fail(status))
    lose(remote)
    assert File.objects.get().state == "available"


def test_an_empty_list_that_is_wrong_loses_nothing(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    fake.script({"method": "GET", "path": "/files$", "times": None}, NOTHING)
    lose(remote)
    assert ids(remote) == [file_id]


def test_a_list_that_breaks_off_loses_nothing(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIDriver, "dialect", Dialect(page_size=20))
    gone = remote.api.create()["id"]
    fake.remove_file("openai", gone)
    for n in range(21):
        planted(fake, f"{n}.jsonl")
    fake.script({"method": "GET", "path": "/files$", "skip": 1, "times": None}, behaviours.fail(500))
    account = ProviderAccount.objects.get(name="openai")
    FileCopy.objects.update(missing_since=timezone.now())
    later = timezone.now() + timedelta(minutes=18)
    with time_machine.travel(later), pytest.raises(ProviderUnavailableError):
        sync_account(account)
    assert File.objects.get(file_id=gone).state == "available"
    assert (account.sync_lease_expires_at, account.last_synced_at) == (None, None)
