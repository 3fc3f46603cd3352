"""Staff on one page: role, organizations, and a password or a link that is shown once."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from files_app.models import AuditEvent
from files_app.services.tenants.staff import reach_of
from files_app.services.tenants.staff_roles import role_of
from tests.files_app.admin.conftest import World

ADD = "admin:auth_user_add"
PASSWORD = "a-new-and-long-enough-password"


def add(root: Client, world: World, **given: object) -> str:
    """Add somebody who reads one organization, and return the secret that is shown."""
    data = {
        "username": "jane",
        "email": "jane@example.org",
        "role": "Read-only",
        "sight": "chosen",
        "organizations": [world.organization.pk],
        "sign_in": "invitation",
        **given,
    }
    answer = root.post(reverse(ADD), data)
    assert answer.status_code == 200, answer
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r'id="new-secret">([^<]+)<', answer.content.decode())
    assert found, answer.context["errors"]
    return html.unescape(found[1])


def choose(link: str, password: str = PASSWORD, again: str = "") -> str:
    """Open an invitation as a stranger, and return the page that answers."""
    address, _, token = link.partition("#")
    assert Client().get(address).status_code == 200
    data = {"token": token, "password": password, "again": again or password}
    return Client().post(address, data).content.decode()


def test_somebody_with_a_generated_password_can_sign_in_at_once(
    root: Client, own: World, foreign: World
) -> None:
    password = add(root, own, sign_in="generated")
    jane = Client()
    assert jane.post("/admin/login/", {"username": "jane", "password": password}).status_code == 302
    assert b"ours-file.txt" in jane.get(reverse("admin:files_app_file_changelist")).content
    user = User.objects.get(username="jane")
    assert (role_of(user), reach_of(user).organization_ids) == ("Read-only", {own.organization.pk})
    event = AuditEvent.objects.get(action="user.create")
    assert event.details == {"roles_granted": ["Read-only"], "organizations_granted": ["ours-org"]}
    assert password not in str(list(AuditEvent.objects.values())) + str(list(root.session.items()))


def test_an_invitation_opens_once(root: Client, own: World) -> None:
    link = add(root, own)
    assert not User.objects.get(username="jane").has_usable_password()
    assert "not the same" in choose(link, again="another-and-long-password")
    assert "too short" in choose(link, "short")
    assert "Sign in with the name <strong>jane</strong>" in choose(link)
    assert Client().post("/admin/login/", {"username": "jane", "password": PASSWORD}).status_code == 302
    assert "was used already" in choose(link, "yet-another-long-password")
    assert AuditEvent.objects.get(action="user.accept").actor == "jane"


@pytest.mark.parametrize("reason", ["older", "replaced", "switched off", "forged"])
def test_an_invitation_that_is_over_opens_nothing(root: Client, own: World, reason: str) -> None:
    link = add(root, own)
    user = User.objects.get(username="jane")
    moment = timezone.now()
    match reason:
        case "older":
            moment += timedelta(days=7, seconds=1)
        case "replaced":
            root.post(reverse("admin:auth_user_invite", args=[user.pk]))
        case "switched off":
            User.objects.filter(pk=user.pk).update(is_active=False)
        case "forged":
            link = link[:-3] + "abc"
    with time_machine.travel(moment, tick=False):
        assert "Ask whoever sent it" in choose(link)
    user.refresh_from_db()
    assert not user.has_usable_password()


def test_somebody_who_would_see_nothing_is_not_saved(root: Client, own: World) -> None:
    data = {"username": "jane", "role": "Owner", "sight": "chosen", "sign_in": "invitation"}
    form = root.post(reverse(ADD), data).context["adminform"].form
    assert "at least one organization" in str(form.errors["organizations"])
    assert not User.objects.filter(username="jane").exists()


def test_role_and_organizations_change_in_one_form(root: Client, own: World, foreign: World) -> None:
    add(root, own)
    user = User.objects.get(username="jane")
    address = reverse("admin:auth_user_change", args=[user.pk])
    data = {
        "username": "jane",
        "role": "Operator",
        "sight": "chosen",
        "organizations": [foreign.organization.pk],
    }
    assert root.post(address, {**data, "can_sign_in": "on"}).status_code == 302
    user = User.objects.get(pk=user.pk)
    assert (role_of(user), reach_of(user).organization_ids) == ("Operator", {foreign.organization.pk})
    assert AuditEvent.objects.get(action="user.update").details["organizations_granted"] == ["zzforeign-org"]
    root.post(address, data)
    assert not User.objects.get(pk=user.pk).is_active


def test_the_last_superuser_stays(root: Client) -> None:
    user = User.objects.get(username="root")
    data = {"username": "root", "role": "Owner", "sight": "every", "can_sign_in": "on"}
    page = root.post(reverse("admin:auth_user_change", args=[user.pk]), data)
    assert "last superuser" in str(page.context["adminform"].form.errors)
    User.objects.create_superuser("other", password=PASSWORD)
    assert root.post(reverse("admin:auth_user_change", args=[user.pk]), data).status_code == 302
