"""What each role may do; the migration installs them as groups."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from files_app.models import AuditEvent, FileState
from files_app.services.operations import on_request
from tests.files_app.admin.conftest import SignIn, World, body_of
from tests.files_app.admin.test_visibility import addresses, admin_paths

ROLES = ("Read-only", "Operator", "Owner")


def test_the_migration_installs_the_roles_each_wider_than_the_one_before(db: None) -> None:
    granted = [
        set(Group.objects.get(name=role).permissions.values_list("codename", flat=True)) for role in ROLES
    ]
    assert granted[0] < granted[1] < granted[2]
    assert all(codename.startswith("view_") for codename in granted[0])


@pytest.mark.parametrize(("role", "expected"), [("Read-only", 403), ("Operator", 200), ("Owner", 200)])
def test_who_may_upload(own: World, sign_in: SignIn, role: str, expected: int) -> None:
    assert sign_in(role, own.organization).get(reverse("admin:upload")).status_code == expected


@pytest.mark.parametrize(("role", "expected"), [("Read-only", 403), ("Operator", 200)])
def test_who_may_read_content(own: World, sign_in: SignIn, role: str, expected: int) -> None:
    client = sign_in(role, own.organization)
    for view in ("download", "preview"):
        address = reverse(f"admin:files_app_file_{view}", args=[own.file.pk])
        answer = client.post(address)
        assert answer.status_code == expected
        body_of(answer)
    assert AuditEvent.objects.filter(action="file.content").count() == (2 if expected == 200 else 0)


@pytest.mark.parametrize(
    ("role", "state"), [("Read-only", FileState.AVAILABLE), ("Operator", FileState.DELETING)]
)
def test_who_may_delete_files(own: World, sign_in: SignIn, role: str, state: FileState) -> None:
    data = {"action": "delete_files", "_selected_action": [own.file.pk], "confirmed": "1"}
    sign_in(role, own.organization).post(reverse("admin:files_app_file_changelist"), data)
    own.file.refresh_from_db()
    assert own.file.state == state


@pytest.mark.parametrize(
    ("role", "placed", "lifted"), [("Read-only", 0, False), ("Operator", 1, False), ("Owner", 1, True)]
)
def test_who_may_place_a_legal_hold_and_who_may_lift_it(
    own: World, sign_in: SignIn, role: str, placed: int, lifted: bool
) -> None:
    client = sign_in(role, own.organization)
    data = {"action": "hold_files", "_selected_action": [own.file.pk], "confirmed": "1", "reason": "case 17"}
    client.post(reverse("admin:files_app_file_changelist"), data)
    assert own.file.held_by.count() == placed
    address = reverse("admin:files_app_legalhold_change", args=[own.hold.pk])
    assert client.get(address).status_code == 200
    assert client.post(address).status_code == (302 if lifted else 403)
    own.hold.refresh_from_db()
    assert own.hold.is_open is not lifted


@pytest.mark.parametrize(("role", "expected"), [("Read-only", 403), ("Operator", 403), ("Owner", 200)])
def test_who_may_make_keys_and_accounts(own: World, sign_in: SignIn, role: str, expected: int) -> None:
    client = sign_in(role, own.organization)
    for model in ("apikey", "provideraccount"):
        assert client.get(reverse(f"admin:files_app_{model}_add")).status_code == expected


@pytest.mark.parametrize(("role", "expected"), [("Read-only", 403), ("Operator", 200)])
def test_who_may_test_and_sync_an_account(
    own: World, sign_in: SignIn, role: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_request, "sync_for", lambda account, caller, on_progress: None)
    client = sign_in(role, own.organization)
    for view in ("test", "sync"):
        answer = client.post(reverse(f"admin:files_app_provideraccount_{view}", args=[own.account.pk]))
        assert answer.status_code == expected
        body_of(answer)


def test_limits_are_given_by_staff_that_sees_everything(own: World, sign_in: SignIn) -> None:
    address = reverse("admin:files_app_organization_change", args=[own.organization.pk])
    data = {
        "name": own.organization.name,
        "is_active": "on",
        "quota_bytes": "7 GiB",
        "max_file_bytes": "1 MiB",
        "max_files": "7",
    }
    assert sign_in("Owner", own.organization).post(address, data).status_code == 403
    assert (
        sign_in("Owner", own.organization).get(reverse("admin:files_app_organization_add")).status_code == 403
    )
    assert sign_in("Owner", sees_all=True).post(address, data).status_code == 302
    own.organization.refresh_from_db()
    assert own.organization.quota_bytes == 7 * 1024**3
    assert AuditEvent.objects.get(action="organization.update").details == {
        "changed": ["Quota", "Largest file", "Number of files"]
    }


def test_nobody_changes_or_deletes_the_audit_trail(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", sees_all=True)
    before = AuditEvent.objects.count()
    for view in ("change", "delete"):
        client.post(reverse(f"admin:files_app_auditevent_{view}", args=[own.event.pk]), {"post": "yes"})
    assert client.get(reverse("admin:files_app_auditevent_add")).status_code == 403
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("role", ROLES)
def test_every_page_opens_or_refuses_in_words(own: World, sign_in: SignIn, role: str) -> None:
    for client in (sign_in(role, own.organization), sign_in(role, sees_all=True)):
        for path in admin_paths():
            for address in addresses(path, own):
                assert client.get(address).status_code in {200, 302, 403, 404, 405, 409, 415}, address
