"""The index follows the provider: by syncs that see every page once and leave uploads and deletes alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import File, ProviderAccount
from files_app.services.upstream import sync as sync_service
from files_app.services.upstream.sync import sync_account
from providers.openai import OpenAIDriver
from providers.openai_compatible import Dialect
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.client import with_side_effect
from tests.files_app.forms import encode, file_part, purpose_part
from tests.files_app.services.upstream.elsewhere import ids, planted, sync


def test_a_sync_that_breaks_is_no_sync(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise TimeoutError

    planted(fake)
    monkeypatch.setattr(sync_service, "_merge", interrupted)
    account = ProviderAccount.objects.get(name="openai")
    with pytest.raises(TimeoutError):
        sync_account(account)
    account.refresh_from_db()
    assert (account.last_synced_at, account.sync_lease_expires_at) == (None, None)
    assert account.last_sync_error


def test_a_sync_reads_every_page_once(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIDriver, "dialect", Dialect(page_size=20))
    expected = {planted(fake, f"{n}.jsonl", created_at=1_700_000_000 + n // 3) for n in range(105)}
    sync(remote)
    assert set(ids(remote)) == expected
    assert len(fake.requests) == 6  # a page each
    sync(remote)
    assert File.objects.count() == len(expected)


def test_a_sync_asks_for_nothing_more_when_its_lease_nears_its_end(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = remote.api.create()["id"]
    fake.remove_file("openai", gone)
    planted(fake)
    monkeypatch.setattr(sync_service, "_LONGEST_SECONDS", 0.0)
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        before = len(fake.requests)
        report = sync_account(ProviderAccount.objects.get(name="openai"))
        assert report is not None and (report.is_complete, report.adopted, report.lost) == (True, 0, 0)
        assert len(fake.requests) == before + 1  # the list, and no question for what it lacks
        monkeypatch.undo()
        report = sync_account(ProviderAccount.objects.get(name="openai"))
        assert report is not None and report.adopted == 1
        assert len(fake.requests) == before + 3


def test_a_deleted_file_is_not_brought_back(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    remote.api.delete(f"/files/{file_id}")
    sync(remote)
    assert ids(remote) == []
    deliver_deletes()
    sync(remote)
    assert ids(remote) == []
    assert fake.store("openai") == []


def test_a_file_uploaded_during_the_sync_is_neither_lost_nor_doubled(
    remote: Tenant, fake: FakeProvider
) -> None:
    """The list was read before the upload: what it lacks is younger than the list."""
    form = encode([purpose_part(), file_part(b"x" * 500)])
    body = with_side_effect(form, 200, lambda: sync(remote))
    created = remote.api.upload_body(body, length=len(form)).json()
    sync(remote)
    assert ids(remote) == [created["id"]]
    assert counters(remote.organization) == (500, 0, 1)


def test_an_upload_wins_over_a_sync_that_took_its_file(remote: Tenant, fake: FakeProvider) -> None:
    """The file was stored and listed before the upload's own answer came."""
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}").status == 200
    fake.script({"method": "POST"}, behaviours.patched({"id": file_id}))
    created = remote.api.create(b"uploaded")
    assert (created["id"], created["bytes"]) == (file_id, 8)
    assert ids(remote) == [file_id]
    assert counters(remote.organization) == (8, 0, 1)


def test_two_syncs_at_once_are_one(remote: Tenant, fake: FakeProvider) -> None:
    account = ProviderAccount.objects.get(name="openai")
    ProviderAccount.objects.filter(pk=account.pk).update(
        sync_token="other", sync_lease_expires_at=timezone.now() + timedelta(minutes=1)
    )
    assert sync_account(account) is None
    assert fake.requests == []


def test_a_status_that_changes_is_followed(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    listed = {"id": file_id, "object": "file", "status": "error", "status_details": "bad line", "bytes": 5}
    body = {"object": "list", "data": [listed], "has_more": False}
    fake.script({"path": "/files$"}, behaviours.answer(200, json_body=body))
    sync(remote)
    shown = remote.api.get(f"/files/{file_id}").json()
    assert (shown["status"], shown["status_details"]) == ("error", "bad line")
    assert (shown["bytes"], shown["filename"]) == (5, "a.txt")
