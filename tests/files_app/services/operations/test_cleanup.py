"""Sweeps: what died is cleaned up, what goes on is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import File, FileCopy
from files_app.services.index.transactions import database_time
from files_app.services.operations import cleanup
from files_app.services.uploads import failure
from tests.files_app.cast import Tenant
from tests.files_app.forms import encode, file_part, purpose_part
from tests.files_app.rows import force


def test_an_upload_that_goes_on_is_not_swept(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.create()
    past = timezone.now() - timedelta(seconds=1)
    force(File.objects, state="uploading", lease_token="x", lease_expires_at=past)
    force(FileCopy.objects, state="uploading")

    original = failure.give_up_upload

    def after_a_renewal(pk: int) -> bool:
        File.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=2))
        return original(pk)

    monkeypatch.setattr(failure, "give_up_upload", after_a_renewal)
    assert cleanup.sweep_uploads() == 0
    assert File.objects.get().state == "uploading"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_ends_no_upload_that_goes_on(acme: Tenant, hours: int) -> None:
    """Leases are in the database's time, whatever the clock of the process says that sweeps."""
    body = encode([purpose_part(), file_part(b"hello")])

    def pieces() -> Iterator[bytes]:
        yield body[:-30]
        with time_machine.travel(timezone.now() + timedelta(hours=hours)):
            assert cleanup.sweep_uploads() == 0
        yield body[-30:]

    assert acme.api.upload_body(pieces(), length=len(body)).status == 200


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_keeps_no_dead_upload(acme: Tenant, hours: int) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=hours)):
        acme.api.create()
        file = File.objects.get()
        force(
            File.objects, state="uploading", lease_token="x", lease_expires_at=database_time(plus_seconds=-1)
        )
        force(FileCopy.objects, state="uploading")
        assert cleanup.sweep_uploads() == 1
    file.refresh_from_db()
    assert file.state == "failed"
