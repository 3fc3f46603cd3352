"""Expiry: what is over is cleaned up once, and what got more time is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from files_app.models import AuditEvent, DeletedReason, File, FileCopy, Organization
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import expire_files
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.forms import expiry_parts, file_part, purpose_part


def test_a_file_that_got_more_time_does_not_expire(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.create()
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    original = outbox.tombstones

    def after_an_extension(files: Sequence[File], *, reason: DeletedReason) -> bool:
        File.objects.update(expires_at=timezone.now() + timedelta(days=1))
        return original(files, reason=reason)

    monkeypatch.setattr(outbox, "tombstones", after_an_extension)
    assert expire_files() == 0
    assert File.objects.get().state == "available"
    assert counters(acme.organization) == (5, 0, 1)


def test_all_that_is_over_goes_in_one_run_whatever_its_number(acme: Tenant) -> None:
    acme.api.create()
    row = File.objects.get()
    over = {"organization": acme.organization, "account": row.account, "state": "available", "bytes": 1}
    soon = timezone.now() - timedelta(seconds=1)
    File.objects.bulk_create(
        File(**over, file_id=f"file-{n:024}", filename="a", purpose="evals", expires_at=soon)
        for n in range(510)
    )
    Organization.objects.filter(pk=acme.organization.pk).update(
        used_bytes=F("used_bytes") + 510, file_count=F("file_count") + 510
    )
    with CaptureQueriesContext(connection) as statements:
        assert expire_files() == 510
    assert len(statements) < 2 * 510  # nor does each cost a transaction of its own
    assert counters(acme.organization) == (5, 0, 1)
    assert AuditEvent.objects.filter(action="file.expire", organization=acme.organization).count() == 510


@pytest.mark.parametrize("what", ["gets more time", "is held", "fails", "is refused by the database"])
def test_a_file_that_cannot_expire_keeps_no_other(
    acme: Tenant, other: Tenant, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    kept = acme.api.create()["id"]
    for tenant in (acme, other, acme):
        tenant.api.create()
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    original = outbox.tombstones

    def meanwhile(files: Sequence[File], *, reason: DeletedReason) -> bool:
        row = File.objects.filter(file_id=kept)
        if what == "gets more time":
            row.update(expires_at=timezone.now() + timedelta(days=1))
        elif what == "is held":
            row.update(is_held=True)
        elif kept in [file.file_id for file in files]:
            raise ValueError("an oddity") if what == "fails" else IntegrityError("a constraint of one row")
        return original(files, reason=reason)

    monkeypatch.setattr(outbox, "tombstones", meanwhile)
    assert expire_files() == 3
    assert File.objects.get(state="available").file_id == kept
    assert counters(acme.organization) == (5, 0, 1)
    assert counters(other.organization) == (0, 0, 0)
    assert AuditEvent.objects.filter(action="file.expire").count() == 3


@pytest.mark.parametrize("account", ["local", "openai"])
def test_an_expired_file_is_cleaned_up_once(remote: Tenant, fake: FakeProvider, account: str) -> None:
    parts = [*expiry_parts(3600), purpose_part(), file_part()]
    remote.api.create(parts=parts, account=account)
    assert expire_files() == 0
    with time_machine.travel(timezone.now() + timedelta(seconds=3601)):
        assert remote.api.listed()["data"] == []
        assert expire_files() == 1
        assert expire_files() == 0
        assert counters(remote.organization) == (0, 0, 0)
        deliver_deletes()
    assert File.objects.get().deleted_reason == "expired"
    assert FileCopy.objects.get().state == "deleted"
    assert AuditEvent.objects.filter(action="file.expire").count() == 1
