"""`manage.py audit`"""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from files_app.models import AuditEvent
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good


def listed(*arguments: str) -> list[str]:
    rows = good("audit", "list", "--json", *arguments).json
    return [f"{row['action']} {row['object_id']}" for row in rows]


def test_events_are_found_by_what_an_operator_knows(acme: Tenant, other: Tenant, stored: str) -> None:
    theirs = other.api.create()["id"]
    AuditEvent.objects.create(action="account.sync", object_id="openai", result="failed", actor_type="user")
    assert listed("--object", stored) == [f"file.create {stored}"]
    assert listed("--organization", other.organization.name, "--action", "file.create") == [
        f"file.create {theirs}"
    ]
    assert listed("--failed") == ["account.sync openai"]
    request = AuditEvent.objects.get(object_id=stored).request_id
    assert listed("--request", request) == [f"file.create {stored}"]
    assert set(listed("--actor", "main", "--action", "file.create")) == {
        f"file.create {stored}",
        f"file.create {theirs}",
    }
    assert len(listed("--limit", "1")) == 1


def test_old_events_are_left_out(acme: Tenant) -> None:
    old = AuditEvent.objects.create(
        action="file.lost",
        object_id="old",
        actor_type="system",
        created_at=timezone.now() - timedelta(days=3),
    )
    assert f"file.lost {old.object_id}" in listed("--since", "4d")
    assert f"file.lost {old.object_id}" not in listed("--since", "2d")


def test_a_table_tells_the_details_and_steers_no_terminal(acme: Tenant) -> None:
    AuditEvent.objects.create(
        action="file.create", actor_type="user", actor="ada", details={"reason": "red \x1b[31m"}
    )
    done = good("audit", "list", "--actor", "ada")
    assert "reason=red" in done.out and "\x1b" not in done.out
    assert "invalid choice" in failing("audit", "list", "--action", "nothing").err
