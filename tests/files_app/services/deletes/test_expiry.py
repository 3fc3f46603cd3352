"""Expiry: what is over is cleaned up once, and what got more time is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import AuditEvent, DeletedReason, File, FileCopy
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import expire_files, set_expiry
from files_app.services.index.callers import system_caller
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.forms import expiry_parts, file_part, purpose_part


def test_a_file_that_got_more_time_does_not_expire(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.create()
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    original = outbox.tombstone

    def after_an_extension(file: File, *, reason: DeletedReason) -> bool:
        later = timezone.now() + timedelta(days=1)
        set_expiry(File.objects.get(pk=file.pk), later, caller=system_caller(acme.organization.pk))
        return original(file, reason=reason)

    monkeypatch.setattr(outbox, "tombstone", after_an_extension)
    assert expire_files() == 0
    assert File.objects.get().state == "available"
    assert counters(acme.organization) == (5, 0, 1)


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
