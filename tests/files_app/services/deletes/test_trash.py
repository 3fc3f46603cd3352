"""The trash: gone for clients, still at the provider, and back with the id that it had, or gone for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from files_app.exceptions import FileHeldError, InvalidRequestError, QuotaExceededError
from files_app.models import AuditEvent, File, FileCopy
from files_app.services.deletes import purging, trash
from files_app.services.deletes.expiry import expire_files
from files_app.services.index.callers import system_caller
from files_app.services.retention import holds
from files_app.services.upstream.recheck import recheck_file
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters, deliver_deletes, on_disk
from tests.files_app.forms import expiry_parts, file_part, purpose_part

DAYS = 7


@pytest.fixture
def tenant(acme: Tenant) -> Tenant:
    acme.set_limits(trash_days=DAYS)
    return acme


def thrown_away(tenant: Tenant, **upload: Any) -> File:
    file_id = tenant.api.create(**upload)["id"]
    reply = tenant.api.delete(f"/files/{file_id}")
    assert (reply.status, reply.json()["deleted"]) == (200, True)
    return File.objects.get(file_id=file_id)


def restore(file: File) -> None:
    trash.restore(file, caller=system_caller(file.organization_id))


def days_later(days: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(days=days), tick=False)


def test_for_clients_the_file_is_gone(tenant: Tenant) -> None:
    file = thrown_away(tenant)
    for method, path in [("GET", ""), ("GET", "/content"), ("HEAD", "/content"), ("DELETE", "")]:
        assert tenant.api.request(method, f"/files/{file.file_id}{path}").status == 404
    assert tenant.api.listed()["data"] == []
    assert tenant.api.get("/files", query={"after": file.file_id}).status == 200  # as any tombstone


def test_its_provider_has_it_until_its_days_are_over(tenant: Tenant) -> None:
    file = thrown_away(tenant)
    deliver_deletes()
    assert purging.empty_trash() == 0
    assert on_disk(tenant) != []
    assert counters(tenant.organization) == (5, 0, 1)  # still counted
    with days_later(DAYS + 0.01):
        assert purging.empty_trash() == 1
        assert purging.empty_trash() == 0
        deliver_deletes()
    assert on_disk(tenant) == []
    assert counters(tenant.organization) == (0, 0, 0)
    file.refresh_from_db()
    assert (file.state, file.deleted_reason) == ("deleted", "user")
    assert AuditEvent.objects.filter(action="file.purge", actor="gateway").count() == 1


def test_it_comes_back_as_it_was(tenant: Tenant) -> None:
    file = thrown_away(tenant)
    restore(file)
    assert tenant.api.get(f"/files/{file.file_id}/content").body == b"hello"
    assert counters(tenant.organization) == (5, 0, 1)
    file.refresh_from_db()
    assert (file.deleted_reason, file.trash_ends_at) == ("", None)
    assert AuditEvent.objects.filter(action="file.restore", object_id=file.file_id).count() == 1
    with pytest.raises(InvalidRequestError, match="not in the trash"):
        restore(file)


def test_without_a_trash_nothing_is_different(acme: Tenant) -> None:
    file = thrown_away(acme)
    assert file.state == "deleting"
    with pytest.raises(InvalidRequestError, match="not in the trash"):
        restore(file)


def test_where_the_trash_is_free_room_is_checked_on_the_way_back(tenant: Tenant) -> None:
    tenant.set_limits(trash_is_free=True, quota_bytes=8)
    file = thrown_away(tenant)
    assert counters(tenant.organization) == (0, 0, 0)
    tenant.set_limits(trash_is_free=False)  # what is in there stays as it was put there
    other = tenant.api.create(b"sixsix")["id"]
    with pytest.raises(QuotaExceededError):
        restore(file)
    file.refresh_from_db()
    assert (file.state, counters(tenant.organization)) == ("trashed", (6, 0, 1))
    tenant.set_limits(trash_days=0)
    tenant.api.delete(f"/files/{other}")
    restore(file)
    assert counters(tenant.organization) == (5, 0, 1)


def test_expiry_skips_the_trash(tenant: Tenant) -> None:
    tenant.api.create(parts=[*expiry_parts(3600), purpose_part(), file_part()])
    with days_later(1):
        assert expire_files() == 1
    assert File.objects.get().state == "deleting"


def test_in_the_trash_a_file_lives_no_longer_than_it_would_have(tenant: Tenant) -> None:
    file = thrown_away(tenant, parts=[*expiry_parts(3600), purpose_part(), file_part()])
    assert file.trash_ends_at == file.expires_at
    with days_later(1):
        with pytest.raises(InvalidRequestError, match="cannot be restored"):
            restore(file)
        assert purging.empty_trash() == 1


def test_a_hold_keeps_it_in_the_trash(tenant: Tenant) -> None:
    file = thrown_away(tenant)
    caller = system_caller(tenant.organization.pk)
    holds.hold_files([file], reason="case 17", caller=caller)
    with pytest.raises(FileHeldError):
        purging.purge(file, caller=caller)
    with days_later(DAYS + 1):
        assert purging.empty_trash() == 0
    restore(file)
    assert tenant.api.delete(f"/files/{file.file_id}").status == 409


def test_staff_may_delete_it_for_good(tenant: Tenant) -> None:
    file = thrown_away(tenant)
    purging.purge(file, caller=system_caller(tenant.organization.pk))
    deliver_deletes()
    assert on_disk(tenant) == []
    assert counters(tenant.organization) == (0, 0, 0)


def test_a_row_that_was_read_before_a_restore_does_not_purge(tenant: Tenant) -> None:
    stale = thrown_away(tenant)
    restore(File.objects.get())
    with pytest.raises(InvalidRequestError, match="not in the trash"):
        purging.purge(stale, caller=system_caller(tenant.organization.pk))
    assert File.objects.get().state == "available"


def test_it_is_neither_adopted_nor_lost(remote: Tenant, fake: FakeProvider) -> None:
    remote.set_limits(trash_days=DAYS)
    file = thrown_away(remote)
    account = remote.accounts["openai"]
    assert [stored.remote_id for stored in fake.store("openai")] == [file.file_id]
    sync_account(account)  # it is listed there
    assert remote.api.listed()["data"] == []
    fake.reset()
    with days_later(2):
        for _ in range(2):
            sync_account(account)
            with days_later(2.1):
                sync_account(account)
                assert "no more" in recheck_file(file, caller=system_caller(remote.organization.pk))
    file.refresh_from_db()
    assert file.state == "trashed"
    assert FileCopy.objects.get().state == "available"
    assert File.objects.count() == 1
