"""API keys in the admin: shown once, revoked, rotated."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from files_app.exceptions import InvalidKeyError
from files_app.models import ApiKey, AuditEvent
from files_app.services.tenants.keys import forget_cached_keys, verify_key
from tests.files_app.admin.conftest import SignIn, World

ADD = "admin:files_app_apikey_add"


def make(client: Client, world: World, **data: object) -> str:
    given = {"organization": world.organization.pk, "name": "fresh", "scopes": ["files:read"], **data}
    answer = client.post(reverse(ADD), given)
    assert answer.status_code == 200, answer
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(rb"fgw_[0-9A-Za-z]{46}", answer.content)
    assert found
    return found[0].decode()


def test_a_new_key_is_shown_once_and_works(root: Client, own: World) -> None:
    plain = make(root, own)
    assert verify_key(plain).scopes == {"files:read"}
    row = ApiKey.objects.get(name="fresh")
    for address in (
        reverse("admin:files_app_apikey_changelist"),
        reverse("admin:files_app_apikey_change", args=[row.pk]),
        reverse("admin:files_app_auditevent_changelist"),
        "/admin/",
    ):
        page = root.get(address).content.decode()
        assert plain not in page
    assert plain not in str(list(root.session.items()))
    event = AuditEvent.objects.get(action="key.create", actor="root")
    assert plain not in str(event.details) + event.object_id


def test_a_key_can_expire(root: Client, own: World) -> None:
    make(root, own, lifetime="30")
    expires_at = ApiKey.objects.get(name="fresh").expires_at
    assert expires_at is not None


def test_the_name_of_a_live_key_is_refused_in_the_form(root: Client, own: World) -> None:
    data = {"organization": own.organization.pk, "name": own.key.name, "scopes": ["files:read"]}
    form = root.post(reverse(ADD), data).context["adminform"].form
    assert "exists already" in str(form.errors["name"])


def test_revoked_keys_are_refused_and_stay_in_the_list(root: Client, own: World) -> None:
    plain = make(root, own)
    row = ApiKey.objects.get(name="fresh")
    address = reverse("admin:files_app_apikey_changelist")
    asked = root.post(address, {"action": "revoke_keys", "_selected_action": [row.pk]})
    assert b"cannot be undone" in asked.content
    row.refresh_from_db()
    assert row.revoked_at is None
    done = root.post(address, {"action": "revoke_keys", "_selected_action": [row.pk], "confirmed": "1"})
    assert b"1 of 1 done" in done.content
    forget_cached_keys()
    with pytest.raises(InvalidKeyError):
        verify_key(plain)
    assert b"revoked" in root.get(address).content


def test_rotating_shows_the_new_secret_and_what_becomes_of_the_old(root: Client, own: World) -> None:
    old = make(root, own)
    row = ApiKey.objects.get(name="fresh")
    address = reverse("admin:files_app_apikey_change", args=[row.pk])
    answer = root.post(address, {"overlap": "86400"})
    found = re.search(rb"fgw_[0-9A-Za-z]{46}", answer.content)
    assert found and found[0].decode() != old
    assert "no-store" in answer.headers["Cache-Control"]
    assert verify_key(found[0].decode()).id == verify_key(old).id == row.pk
    assert f"{old[:12]}…{old[-4:]}" in root.get(address).content.decode()
    root.post(address, {"end_overlap": "1"})
    with pytest.raises(InvalidKeyError):
        verify_key(old)
    assert root.post(address, {"overlap": "forever"}).status_code == 302
    assert row.retired_secrets.count() == 1


def test_who_may_not_change_keys_does_not_rotate_them(sign_in: SignIn, own: World) -> None:
    client = sign_in("Operator", own.organization)
    address = reverse("admin:files_app_apikey_change", args=[own.key.pk])
    assert b"Rotate" not in client.get(address).content
    client.post(address, {"overlap": "0"})
    assert not own.key.retired_secrets.exists()


def test_a_leaked_secret_is_found_by_its_start_also_after_a_rotation(root: Client, own: World) -> None:
    plain = make(root, own)
    row = ApiKey.objects.get(name="fresh")
    for _ in range(2):
        keys = root.get(reverse("admin:files_app_apikey_changelist"), {"q": plain[:20]})
        assert [each.name for each in keys.context["cl"].result_list] == ["fresh"]
        root.post(reverse("admin:files_app_apikey_change", args=[row.pk]), {"overlap": "0"})
    events = root.get(reverse("admin:files_app_auditevent_changelist"), {"q": plain})
    assert {each.action for each in events.context["cl"].result_list} == {"key.create", "key.rotate"}


def test_keys_are_not_deleted(root: Client, own: World) -> None:
    answer = root.post(reverse("admin:files_app_apikey_delete", args=[own.key.pk]), {"post": "yes"})
    assert answer.status_code == 405
    assert ApiKey.objects.filter(pk=own.key.pk).exists()


def test_rates_are_given_with_the_key_and_changed_on_its_page(root: Client, own: World) -> None:
    make(root, own, requests_per_minute="5", bytes_per_minute="1 GiB")
    row = ApiKey.objects.get(name="fresh")
    assert (row.requests_per_minute, row.bytes_per_minute, row.uploads_at_once) == (5, 2**30, None)
    page = reverse("admin:files_app_apikey_change", args=[row.pk])
    assert b"1 GiB" in root.get(page).content
    assert root.post(page, {"rates": "1", "requests_per_minute": "-1"}).status_code == 200
    assert root.post(page, {"rates": "1", "uploads_at_once": "0"}).status_code == 302
    row.refresh_from_db()
    assert (row.requests_per_minute, row.bytes_per_minute, row.uploads_at_once) == (None, None, 0)
    assert row.revoked_at is None
    assert AuditEvent.objects.get(action="key.update").actor == "root"


def test_staff_of_one_organization_gives_no_rates(sign_in: SignIn, own: World) -> None:
    client = sign_in("Owner", own.organization)
    assert b"requests_per_minute" not in client.get(reverse(ADD)).content
    make(client, own, uploads_at_once="0", requests_per_minute="0")
    row = ApiKey.objects.get(name="fresh")
    assert (row.uploads_at_once, row.requests_per_minute) == (None, None)
    page = reverse("admin:files_app_apikey_change", args=[row.pk])
    client.post(page, {"rates": "1", "uploads_at_once": "0"})
    row.refresh_from_db()
    assert (row.uploads_at_once, row.revoked_at) == (None, None)
