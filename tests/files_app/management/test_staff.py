"""`manage.py staff`"""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import RequestFactory

from files_app.models import AuditEvent
from files_app.services.tenants.staff import reach_of
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good

pytestmark = pytest.mark.django_db


def signs_in(name: str, password: str) -> bool:
    request = RequestFactory().post("/admin/login/")
    return authenticate(request, username=name, password=password) is not None


def test_a_new_member_can_sign_in_and_sees_what_was_granted(acme: Tenant, other: Tenant) -> None:
    done = good("staff", "create", "ada", "--role", "Operator", "--organization", "acme", "--json")
    assert signs_in("ada", done.json["password"])
    user = User.objects.get(username="ada")
    assert user.is_staff and user.has_perm("files_app.delete_file") and not user.is_superuser
    assert reach_of(user).organization_ids == {acme.organization.pk}
    event = AuditEvent.objects.get(action="user.create")
    assert event.actor_type == "command"
    assert event.details == {"roles_granted": ["Operator"], "organizations_granted": ["acme"]}
    (row,) = good("staff", "list", "--json").json
    assert (row["name"], row["roles"], row["organizations"]) == ("ada", ["Operator"], ["acme"])
    assert done.json["password"] not in good("staff", "list").out


def test_a_role_and_organizations_are_changed(acme: Tenant, other: Tenant) -> None:
    good("staff", "create", "ada", "--role", "Owner", "--organization", "acme")
    name = other.organization.name
    good("staff", "change", "ada", "--role", "Read-only", "--organization", name)
    details = AuditEvent.objects.get(action="user.update").details
    assert details == {
        "roles_granted": ["Read-only"],
        "roles_withdrawn": ["Owner"],
        "organizations_granted": [name],
        "organizations_withdrawn": ["acme"],
    }
    user = User.objects.get(username="ada")
    assert not user.has_perm("files_app.delete_file")
    assert reach_of(user).organization_ids == {other.organization.pk}
    good("staff", "change", "ada", "--no-sign-in")
    assert not User.objects.get(username="ada").is_active
    good("staff", "change", "ada", "--sign-in", "--all-organizations")
    assert reach_of(User.objects.get(username="ada")).sees_all


def test_a_password_is_replaced_and_a_member_removed() -> None:
    first = good("staff", "create", "ada", "--role", "Operator", "--json").json["password"]
    assert "--yes" in failing("staff", "password", "ada", code=2).err
    second = good("staff", "password", "ada", "--yes").out.strip()
    assert signs_in("ada", second) and not signs_in("ada", first)
    good("staff", "delete", "ada", "--yes")
    assert not User.objects.exists()
    assert AuditEvent.objects.get(action="user.delete").details == {"roles_withdrawn": ["Operator"]}


def test_the_last_superuser_stays() -> None:
    good("staff", "create", "root", "--role", "superuser")
    for arguments in (
        ("change", "root", "--role", "Owner"),
        ("change", "root", "--no-sign-in"),
        ("delete", "root", "--yes"),
    ):
        assert "only superuser" in failing("staff", *arguments).err
    good("staff", "create", "second", "--role", "superuser")
    good("staff", "delete", "root", "--yes")


def test_what_cannot_be_says_why() -> None:
    assert (
        "There is no role 'Boss'. The roles are: Read-only"
        in failing("staff", "create", "ada", "--role", "Boss").err
    )
    assert not User.objects.exists()
    assert "no member of staff 'nobody'" in failing("staff", "change", "nobody", "--role", "Owner").err
    good("staff", "create", "ada", "--role", "Owner")
    assert "already" in failing("staff", "create", "ada", "--role", "Owner").err
    assert "Name what to change" in failing("staff", "change", "ada", code=2).err
