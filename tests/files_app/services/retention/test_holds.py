"""Legal holds: every path that deletes refuses, until the last hold on a file is lifted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import ProtectedError
from django.utils import timezone

from files_app.exceptions import FileHeldError, InvalidRequestError
from files_app.models import AuditEvent, DeletedReason, File, HeldFile, LegalHold
from files_app.services.accounts.saving import save_account
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import expire_files, set_expiry
from files_app.services.index.callers import system_caller
from files_app.services.reading.listing import FileFilters
from files_app.services.retention import holds
from files_app.services.upstream import recheck
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import FakeProvider
from tests.files_app.cast import (
    Tenant,
    counters,
    deliver_deletes,
    local_account,
    on_disk,
    openai_account,
)
from tests.files_app.forms import expiry_parts, file_part, purpose_part


def place(tenant: Tenant, *file_ids: str) -> LegalHold:
    files = list(File.objects.filter(file_id__in=file_ids))
    return holds.hold_files(files, reason="case 17", caller=system_caller(tenant.organization.pk))


def place_on(tenant: Tenant, **filters: Any) -> LegalHold:
    caller = system_caller(tenant.organization.pk)
    return holds.hold_matching(tenant.organization, FileFilters(**filters), reason="case 17", caller=caller)


@pytest.fixture
def held(acme: Tenant) -> File:
    file_id = acme.api.create()["id"]
    place(acme, file_id)
    return File.objects.get()


def test_a_client_is_refused_and_told_not_to_try_again(acme: Tenant, held: File) -> None:
    reply = acme.api.delete(f"/files/{held.file_id}")
    assert (reply.status, reply.error["code"]) == (409, "file_on_hold")
    assert reply.headers["x-should-retry"] == "false"
    assert "case 17" not in reply.body.decode()  # the reason is nothing for clients
    assert acme.api.get(f"/files/{held.file_id}").status == 200
    assert counters(acme.organization) == (5, 0, 1)
    assert on_disk(acme) != []


def test_neither_staff_nor_expiry_delete_it(acme: Tenant, held: File) -> None:
    caller = system_caller(acme.organization.pk)
    with pytest.raises(FileHeldError):
        outbox.delete_file(held, caller=caller, reason=DeletedReason.ADMIN)
    with pytest.raises(FileHeldError):
        set_expiry(held, timezone.now() + timedelta(days=1), caller=caller)
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_files() == 0
    assert acme.api.get(f"/files/{held.file_id}").status == 404  # its time is over for clients all the same
    assert File.objects.get().state == "available"


def test_a_stale_row_does_not_go_past_a_hold(acme: Tenant) -> None:
    acme.api.create()
    stale = File.objects.get()
    place(acme, stale.file_id)
    assert not outbox.tombstone(stale, reason=DeletedReason.USER)
    assert File.objects.get().state == "available"


def test_not_even_the_row_or_the_organization_can_be_removed(acme: Tenant, held: File) -> None:
    with pytest.raises(ProtectedError):
        File.objects.all().delete()
    with pytest.raises(ProtectedError):
        acme.organization.delete()


def test_a_lost_file_stays_held(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    place(remote, file_id)
    File.objects.update(indexed_at=timezone.now() - timedelta(days=9))
    copy = File.objects.get().copies.get()
    copy.file = File.objects.get()
    assert recheck.note_missed(copy, timezone.now()) is False
    copy.refresh_from_db()
    assert recheck.note_missed(copy, timezone.now() + timedelta(minutes=2)) is True
    assert File.objects.get().state == "lost"
    assert remote.api.delete(f"/files/{file_id}").status == 409


def test_it_is_kept_until_the_last_hold_is_lifted(
    acme: Tenant, held: File, django_capture_on_commit_callbacks: Any
) -> None:
    first, second = LegalHold.objects.get(), place(acme, held.file_id)
    caller = system_caller(acme.organization.pk)
    with django_capture_on_commit_callbacks(execute=True):
        holds.lift(first, caller=caller)
    assert holds.is_held(held)
    assert acme.api.delete(f"/files/{held.file_id}").status == 409
    with django_capture_on_commit_callbacks(execute=True):
        holds.lift(second, caller=caller)
    assert not holds.is_held(held)
    assert acme.api.delete(f"/files/{held.file_id}").status == 200
    deliver_deletes()
    assert on_disk(acme) == []
    with pytest.raises(InvalidRequestError, match="lifted already"):
        holds.lift(second, caller=caller)
    actions = AuditEvent.objects.filter(object_type="hold").values_list("action", flat=True)
    assert sorted(actions) == ["hold.lift", "hold.lift", "hold.place", "hold.place"]
    assert AuditEvent.objects.filter(action="file.hold", object_id=held.file_id).count() == 2


def test_what_its_provider_deletes_cannot_be_held(remote: Tenant) -> None:
    remote.api.create(parts=[*expiry_parts(3600), purpose_part(), file_part()])
    file = File.objects.get()
    caller = system_caller(remote.organization.pk)
    set_expiry(file, None, caller=caller)  # our clock forgets it, the provider's does not
    assert file.provider_expires_at is not None
    with pytest.raises(holds.HoldRefusedError) as refusal:
        place(remote, file.file_id)
    assert f"{file.provider_expires_at:%Y-%m-%d %H:%M} UTC" in refusal.value.message
    assert refusal.value.status == 409
    assert LegalHold.objects.count() == 0  # all or nothing
    hold = place_on(remote, purpose="user_data")
    assert (holds.held_files(hold).count(), holds.unholdable(hold).count()) == (0, 1)


def test_nor_can_what_its_provider_is_known_to_delete_without_saying_so(
    acme: Tenant, fake: FakeProvider
) -> None:
    """Mistral deletes files after 30 days, and no answer of its says when."""
    account = openai_account(acme.organization, fake, "mistral", driver="mistral")
    uploaded = acme.api.create(account="mistral", filename="a.pdf")
    assert uploaded["expires_at"] is None
    old = int(timezone.now().timestamp()) - 3_600
    fake.add_file("mistral", filename="found.pdf", purpose="ocr", created_at=old)
    sync_account(account)
    for file in File.objects.all():
        assert file.provider_expires_at == file.created_at + timedelta(days=30)
        with pytest.raises(holds.HoldRefusedError, match="deletes it by itself on"):
            place(acme, file.file_id)
    assert File.objects.filter(is_adopted=True).count() == 1
    hold = place_on(acme, provider="mistral")
    assert (holds.held_files(hold).count(), holds.unholdable(hold).count()) == (0, 2)


def test_the_gateways_own_expiry_is_no_hindrance(acme: Tenant) -> None:
    acme.api.create(parts=[*expiry_parts(3600), purpose_part(), file_part()])
    place(acme, File.objects.get().file_id)
    assert File.objects.get().is_held


def test_a_hold_on_a_filter_keeps_what_is_there_and_what_comes(acme: Tenant, other: Tenant) -> None:
    kept = acme.api.create(headers={"x-tfy-metadata": '{"user": "42"}'})["id"]
    free = acme.api.create(headers={"x-tfy-metadata": '{"user": "43"}'})["id"]
    foreign = other.api.create(headers={"x-tfy-metadata": '{"user": "42"}'})["id"]
    hold = place_on(acme, metadata={"user": "42"})
    later = acme.api.create(headers={"x-tfy-metadata": '{"user": "42"}'})["id"]
    assert holds.extend_holds() == 1
    assert set(holds.held_files(hold).values_list("file_id", flat=True)) == {kept, later}
    assert acme.api.delete(f"/files/{later}").status == 409
    assert acme.api.delete(f"/files/{free}").status == 200
    assert other.api.delete(f"/files/{foreign}").status == 200


def test_a_hold_that_was_interrupted_is_gone_on_with(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        acme.api.create()
    with monkeypatch.context() as patched:
        patched.setattr(holds, "_BATCH", 1)
        patched.setattr(holds, "_TURN_SECONDS", -1.0)
        hold = place_on(acme, purpose="user_data")
        assert holds.held_files(hold).count() == 1
    holds.extend_holds()
    assert holds.held_files(hold).count() == 3
    LegalHold.objects.update(lifted_at=timezone.now())  # killed before it let go of anything
    assert holds.extend_holds() == 3
    assert (HeldFile.objects.count(), File.objects.filter(is_held=True).count()) == (0, 0)


@pytest.mark.parametrize(("filters", "message"), [({}, "condition"), ({"status": "error"}, "status")])
def test_a_hold_on_everything_or_on_what_changes_is_refused(
    acme: Tenant, filters: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        place_on(acme, **filters)
    assert LegalHold.objects.count() == 0


def test_a_hold_at_an_account_goes_along_when_that_is_renamed(acme: Tenant, other: Tenant) -> None:
    """Whoever may name accounts must not get out of a hold, nor keep others from holding what is new."""
    at_account, later = place_on(acme, provider="local"), place_on(other, purpose="user_data")
    account = acme.accounts["local"]
    account.name = "renamed"
    save_account(account)
    acme.api.create()
    other.api.create()
    assert holds.extend_holds() == 2
    assert holds.unholdable(at_account).count() == 0
    assert [holds.held_files(hold).count() for hold in (at_account, later)] == [1, 1]


def test_a_hold_at_an_account_that_is_removed_keeps_no_other_hold_waiting(acme: Tenant) -> None:
    gone = local_account(acme.organization, "gone")
    hold = place_on(acme, provider="gone")
    standing = place_on(acme, purpose="user_data")
    gone.delete()
    acme.api.create()
    assert holds.extend_holds() == 1
    assert (holds.held_files(hold).count(), holds.held_files(standing).count()) == (0, 1)
    assert holds.unholdable(hold).count() == 0
