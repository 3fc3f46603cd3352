"""The trash page: what it says, and who restores and who deletes for good."""

from __future__ import annotations

import pytest
from django.urls import reverse

from files_app.models import AuditEvent
from tests.files_app.admin.conftest import SignIn, World, body_of

LIST = reverse("admin:files_app_trashedfile_changelist")


def test_it_says_that_providers_still_have_the_files(own: World, sign_in: SignIn) -> None:
    page = body_of(sign_in("Read-only", own.organization).get(LIST)).decode()
    assert "their providers still have them" in page
    assert own.trashed.filename in page
    assert own.file.filename not in page


@pytest.mark.parametrize(
    ("role", "action", "state"),
    [
        ("Read-only", "restore_files", "trashed"),
        ("Operator", "restore_files", "available"),
        ("Operator", "purge_files", "deleting"),
    ],
)
def test_who_empties_it(own: World, sign_in: SignIn, role: str, action: str, state: str) -> None:
    data = {"action": action, "_selected_action": [own.trashed.pk], "confirmed": "1"}
    sign_in(role, own.organization).post(LIST, data)
    own.trashed.refresh_from_db()
    assert own.trashed.state == state
    done = AuditEvent.objects.filter(action__in=["file.restore", "file.purge"], actor__startswith="staff-")
    assert done.count() == (state != "trashed")
