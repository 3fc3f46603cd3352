"""The audit trail tells what came of a thing, not only that somebody pressed a button."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from files_app.admin.account_live import run_test
from files_app.models import AuditEvent, File, Organization, ProviderAccount
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.shares import take_place
from files_app.services.index.callers import Caller
from files_app.services.tenants import sign_ins
from tests.files_app.admin.conftest import SignIn, World, body_of


def last(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("pk")


@pytest.fixture
def nowhere(own: World) -> ProviderAccount:
    """An account whose provider takes no connection."""
    account = ProviderAccount(
        organization=own.organization,
        name="nowhere",
        driver="openai",
        options={"base_url": "http://127.0.0.1:9/v1"},
    )
    save_account(account, {"api_key": "sk-nobody"})
    return account


def run(client: Client, account: ProviderAccount, view: str) -> bytes:
    return body_of(client.post(reverse(f"admin:files_app_provideraccount_{view}", args=[account.pk])))


# -- connection tests and syncs ----------------------------------------------------------------------


def test_a_connection_test_that_fails_is_no_success(root: Client, nowhere: ProviderAccount) -> None:
    run(root, nowhere, "test")
    event = last("account.test")
    assert (event.result, event.account_name, event.actor) == ("failed", "nowhere", "root")
    assert event.details["failed_step"] == "Network"
    assert "Cannot connect" in event.details["error"]


def test_a_connection_test_that_works_says_how_far_it_came(root: Client, own: World) -> None:
    run(root, own.account, "test")
    event = last("account.test")
    assert (event.result, event.details) == ("ok", {"steps": 2, "upload": False})


def test_a_connection_test_that_nobody_waited_for_is_none(own: World) -> None:
    lines = run_test(own.account, Caller(own.organization.pk, actor="root"), round_trip=False)
    next(lines)
    lines.close()  # type: ignore[attr-defined]  # it is a generator
    event = last("account.test")
    assert (event.result, event.details["steps"]) == ("interrupted", 1)


def test_what_found_no_place_was_refused(root: Client, nowhere: ProviderAccount, settings: Settings) -> None:
    settings.WEB_THREADS = 4
    with take_place(nowhere, None):
        run(root, nowhere, "test")
        run(root, nowhere, "sync")
    assert {last(f"account.{name}").result for name in ("test", "sync")} == {"refused"}


def test_the_list_tells_what_came_of_it(root: Client, own: World) -> None:
    AuditEvent.objects.create(
        organization=own.organization,
        actor_type="user",
        action="account.sync",
        details={
            "seen": 12,
            "lost": 0,
            "mended": {"file_count": {"actual": 3}},
            "roles": ["a", "<b>"],
            "is_complete": True,
        },
    )
    page = root.get(reverse("admin:files_app_auditevent_changelist")).content.decode()
    assert "seen 12, lost 0, mended (file count (actual 3)), roles a and &lt;b&gt;, complete" in page


# -- exports and previews ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["file", "auditevent"])
def test_an_export_is_written_down_with_its_rows_and_filters(root: Client, own: World, model: str) -> None:
    address = reverse(f"admin:files_app_{model}_export")
    lines = body_of(root.get(address, {"format": "jsonl", "q": own.file.file_id})).splitlines()
    event = last({"file": "file.export", "auditevent": "audit.export"}[model])
    assert (event.actor, event.result, event.details["rows"]) == ("root", "ok", len(lines))
    assert event.details["rows"] >= 1
    assert event.details["filters"] == {"q": own.file.file_id}


def test_an_export_of_selected_files_is_written_down_for_their_organization(
    own: World, sign_in: SignIn
) -> None:
    client = sign_in("Read-only", own.organization)
    selected = {"action": "export_csv", "_selected_action": [own.file.pk]}
    body_of(client.post(reverse("admin:files_app_file_changelist"), selected))
    event = last("file.export")
    assert (event.organization_id, event.details["rows"]) == (own.organization.pk, 1)


def test_a_preview_is_told_from_a_download(root: Client, own: World) -> None:
    body_of(root.post(reverse("admin:files_app_file_preview", args=[own.file.pk])))
    assert last("file.content").details == {"part": "preview"}
    body_of(root.post(reverse("admin:files_app_file_download", args=[own.file.pk])))
    assert last("file.content").details == {}


def test_a_recount_says_what_it_mended(root: Client, own: World) -> None:
    Organization.objects.filter(pk=own.organization.pk).update(file_count=77)
    selected = {"action": "recount", "_selected_action": [own.organization.pk], "confirmed": "1"}
    root.post(reverse("admin:files_app_organization_changelist"), selected)
    event = last("organization.recount")
    actual = File.objects.filter(organization=own.organization, state="available").count()
    assert event.organization_id == own.organization.pk
    assert event.details["mended"]["file_count"] == {"counted": 77, "actual": actual}


# -- staff -------------------------------------------------------------------------------------------


def staff_form(user: User, **given: Any) -> dict[str, Any]:
    access = {
        "staff_access-TOTAL_FORMS": 1,
        "staff_access-INITIAL_FORMS": 0,
        "staff_access-MIN_NUM_FORMS": 0,
        "staff_access-MAX_NUM_FORMS": 1,
        "staff_access-0-user": user.pk,
    }
    return {"username": user.username, "is_active": "on", "is_staff": "on", **access, **given}


def test_what_was_granted_to_whom_is_in_the_trail(root: Client, own: World) -> None:
    user = User.objects.create_user("newcomer", is_staff=True)
    group = Group.objects.get(name="Owner")
    given = {"groups": [group.pk], "staff_access-0-organizations": [own.organization.pk]}
    address = reverse("admin:auth_user_change", args=[user.pk])
    answer = root.post(address, staff_form(user, **given))
    assert answer.status_code == 302
    details = last("user.update").details
    assert details["roles_granted"] == ["Owner"]
    assert details["organizations_granted"] == [own.organization.name]

    row = user.staff_access  # type: ignore[attr-defined]  # the other end of a one-to-one field
    kept = {"staff_access-INITIAL_FORMS": 1, "staff_access-0-id": row.pk}
    root.post(address, staff_form(user, **kept))
    details = last("user.update").details
    assert details["roles_withdrawn"] == ["Owner"]
    assert details["organizations_withdrawn"] == [own.organization.name]


# -- sign-ins ----------------------------------------------------------------------------------------


def try_to_sign_in(name: str, password: str, address: str = "192.0.2.1") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.post("/admin/login/", {"username": name, "password": password})
    return client


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", password="a-long-enough-password")


def test_sign_ins_and_their_failures_are_written_down(ada: User) -> None:
    try_to_sign_in("ada", "wrong")
    event = last("user.sign_in")
    assert (event.result, event.actor, event.ip) == ("failed", "ada", "192.0.2.1")
    assert event.request_id.startswith("req_")
    client = try_to_sign_in("ada", "a-long-enough-password")
    assert (last("user.sign_in").result, last("user.sign_in").actor) == ("ok", "ada")
    client.post("/admin/logout/")
    assert last("user.sign_out").actor == "ada"


def test_somebody_without_a_role_here_fails_too(db: None) -> None:
    User.objects.create_user("visitor", password="a-long-enough-password")
    try_to_sign_in("visitor", "a-long-enough-password")
    assert last("user.sign_in").details["reason"] == "not staff"


def test_a_password_in_the_wrong_field_is_not_kept(ada: User) -> None:
    try_to_sign_in("a-long-enough-password", "ada")
    event = last("user.sign_in")
    assert (event.actor, event.object_id, event.details["is_known"]) == ("", "", False)
    assert "a-long-enough-password" not in json.dumps(event.details)


def test_a_flood_of_failures_does_not_fill_the_trail(ada: User) -> None:
    failures = AuditEvent.objects.filter(action="user.sign_in", result="failed")
    for number in range(20):
        sign_ins.record_failure(f"guess-{number}", ip="192.0.2.1", reason="password")
    assert failures.count() == sign_ins.MOST_OF_ADDRESS
    assert last("user.sign_in").details["silent_minutes"] == 10
    for number in range(100):
        sign_ins.record_failure("ada", ip=f"198.51.100.{number}", reason="password")
    assert failures.count() == sign_ins.MOST

    with connection.cursor() as cursor:  # past the model, which lets nobody change what happened
        before = timezone.now() - sign_ins.WINDOW - timedelta(seconds=1)
        cursor.execute("UPDATE files_app_auditevent SET created_at = %s", [before])
    sign_ins.record_failure("ada", ip="192.0.2.1", reason="password")
    assert failures.count() == sign_ins.MOST + 1
