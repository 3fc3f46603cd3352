"""Sweeps: what died is cleaned up, what goes on is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from files_app.models import File, FileCopy
from files_app.services.operations import cleanup
from files_app.services.uploads import failure
from tests.files_app.cast import Tenant
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
