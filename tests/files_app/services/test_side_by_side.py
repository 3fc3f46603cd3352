"""Two that work on one file at the same moment: each test lets the other one act in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from files_app.models import File, FileCopy, ProviderAccount
from files_app.models.files import DeletedReason
from files_app.services.deletes import delivery as deletes
from files_app.services.deletes.expiry import expire_files, set_expiry
from files_app.services.tenants.keys import system_caller
from files_app.services.uploads import failure as abandonment
from files_app.services.upstream import lost_answers as sweep
from files_app.services.upstream import schedule as freshness
from files_app.services.upstream import sync as sync_service
from providers.objects import RemoteFile
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters, openai_account


def planted(fake: FakeProvider) -> str:
    return fake.add_file(
        "openai", filename="a.jsonl", content=b"x", purpose="batch_output", created_at=1_700_000_000
    ).remote_id


def test_who_comes_second_finds_what_the_first_has_adopted(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = planted(fake)
    original = sync_service.may_be_any_of
    statuses: list[int] = []

    def let_another_be_first(found: RemoteFile, uploads: list[FileCopy]) -> bool:
        if not statuses:
            statuses.append(0)
            statuses[0] = remote.api.get(f"/files/{file_id}").status
        return original(found, uploads)

    monkeypatch.setattr(sync_service, "may_be_any_of", let_another_be_first)
    outer = remote.api.get(f"/files/{file_id}").status
    assert [*statuses, outer] == [200, 200]


def test_a_file_that_got_more_time_does_not_expire(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.create()
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    original = deletes.tombstone

    def after_an_extension(file: File, *, reason: DeletedReason) -> bool:
        later = timezone.now() + timedelta(days=1)
        set_expiry(File.objects.get(pk=file.pk), later, caller=system_caller(acme.organization.pk))
        return original(file, reason=reason)

    monkeypatch.setattr(deletes, "tombstone", after_an_extension)
    assert expire_files() == 0
    assert File.objects.get().state == "available"
    assert counters(acme.organization) == (5, 0, 1)


def test_an_upload_that_goes_on_is_not_swept(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.create()
    past = timezone.now() - timedelta(seconds=1)
    File.objects.update(state="uploading", lease_token="x", lease_expires_at=past)
    FileCopy.objects.update(state="uploading")

    def after_a_renewal(pk: int) -> bool:
        File.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=2))
        return abandonment.give_up_upload(pk)

    monkeypatch.setattr(sweep, "give_up_upload", after_a_renewal)
    assert sweep.sweep_uploads() == 0
    assert File.objects.get().state == "uploading"


def test_one_odd_account_does_not_keep_others_from_their_sync(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_account(remote.organization, fake, "second")
    ProviderAccount.objects.filter(driver="openai").update(list_freshness_seconds=0)
    asked: list[str] = []

    def odd(account: ProviderAccount) -> None:
        asked.append(account.name)
        raise KeyError("a driver's mistake")

    monkeypatch.setattr(freshness, "sync_account", odd)
    assert freshness.sync_due_accounts() == 0
    assert {"openai", "second"} <= set(asked)


@pytest.mark.django_db(transaction=True)
def test_a_list_that_waits_holds_no_connection(
    remote: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SYNC_WAIT_SECONDS = 1
    ProviderAccount.objects.filter(name="openai").update(
        list_freshness_seconds=0,
        sync_token="other",
        sync_lease_expires_at=timezone.now() + timedelta(minutes=1),
    )
    account = ProviderAccount.objects.get(name="openai")
    held: list[bool] = []
    monkeypatch.setattr(freshness, "release_connection", connection.close)  # what a pool does
    monkeypatch.setattr(
        freshness.time, "sleep", lambda seconds: held.append(connection.connection is not None)
    )
    assert freshness.sync_before_list(account) == "stale"
    assert held
    assert not any(held)
