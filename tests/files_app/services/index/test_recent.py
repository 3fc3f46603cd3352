"""What a process remembers of rows for some seconds."""

from __future__ import annotations

import pytest

from files_app.models import Organization
from files_app.services.index import recent
from files_app.services.index.recent import recent_organization

pytestmark = pytest.mark.django_db


def test_a_row_is_remembered_until_this_process_saves_one() -> None:
    row = Organization.objects.create(name="acme", max_file_bytes=10)
    assert recent_organization(row.pk).max_file_bytes == 10
    Organization.objects.update(max_file_bytes=20)  # as another process would
    assert recent_organization(row.pk).max_file_bytes == 10
    row.max_file_bytes = 30
    row.save()
    assert recent_organization(row.pk).max_file_bytes == 30


def test_a_row_is_remembered_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "SECONDS", -1.0)
    row = Organization.objects.create(name="acme", max_file_bytes=10)
    assert recent_organization(row.pk).max_file_bytes == 10
    Organization.objects.update(max_file_bytes=20)
    assert recent_organization(row.pk).max_file_bytes == 20


def test_what_is_not_there_is_asked_for_again() -> None:
    with pytest.raises(Organization.DoesNotExist):
        recent_organization(1)
    row = Organization.objects.create(pk=1, name="acme")
    assert recent_organization(1) == row
