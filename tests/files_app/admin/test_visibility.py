"""Staff bound to an organization sees nothing of another one: on no page, in no answer, by no address.

The addresses are taken from the admin's own URL configuration, so that a new page is tested without a line
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pytest_django import DjangoDbBlocker

from files_app.models import CopyState, File, FileCopy, FileState, StaffAccess
from tests.files_app.admin.conftest import SignIn, World, body_of, world
from tests.files_app.rows import kept

MODELS = {
    "organization",
    "apikey",
    "provideraccount",
    "file",
    "filecopy",
    "auditevent",
    "legalhold",
    "trashedfile",
    "webhookendpoint",
    "webhookdelivery",
    "filejob",
}


@pytest.fixture(scope="module")
def worlds(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[World, World]]:
    """Two organizations for all tests here."""
    with kept(django_db_blocker):
        yield world("ours"), world("zzforeign")


@pytest.fixture
def own(worlds: tuple[World, World], db: None) -> World:
    return deepcopy(worlds[0])


@pytest.fixture
def foreign(worlds: tuple[World, World], db: None) -> World:
    return deepcopy(worlds[1])


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, path)
        else:
            yield path, entry


def admin_paths() -> list[str]:
    """Return the address of every page of the admin, as its URL configuration writes it."""
    resolver = next(
        entry
        for entry in get_resolver().url_patterns
        if isinstance(entry, URLResolver) and entry.app_name == "admin"
    )
    paths = sorted({str(resolver.pattern) + path for path, _ in patterns(resolver)})
    skipped = ("logout", "password_change", "login")
    return [path for path in paths if not any(word in path for word in skipped) and "(?P<url>" not in path]


def model_of(path: str) -> str:
    found = re.match(r"admin/files_app/(\w+)/", path)
    return found[1] if found else ""


def rows_of(world: World) -> dict[str, list[int]]:
    return {
        "organization": [world.organization.pk],
        "apikey": [world.key.pk],
        "provideraccount": [world.account.pk],
        "file": [world.file.pk, world.dead.file_id],
        "filecopy": [world.dead.pk],
        "auditevent": [world.event.pk],
        "legalhold": [world.hold.pk],
        "trashedfile": [world.trashed.pk],
        "webhookendpoint": [world.webhook.pk],
        "webhookdelivery": [world.told.pk],
        "filejob": [world.job.pk],
    }


def addresses(path: str, world: World) -> list[str]:
    """Return the path with each row of the world in place of its arguments."""
    pks = rows_of(world).get(model_of(path), [1])
    if "<" not in path:
        return [f"/{path}"]
    if "app_label" in path:
        return ["/admin/files_app/"]
    if "content_type_id" in path:  # Django's "view on site": none of our rows has an address there
        return [f"/admin/r/1/{pk}/" for pk in pks]
    return [f"/{re.sub(r'<[^>]+>', str(pk), path)}" for pk in pks]


def test_every_model_of_ours_has_a_page() -> None:
    assert {model_of(path) for path in admin_paths()} - {""} == MODELS
    assert len(admin_paths()) > 50


@pytest.mark.parametrize("path", admin_paths())
@pytest.mark.parametrize("method", ["get", "post", "put"])
def test_no_answer_shows_another_organization(
    own: World, foreign: World, sign_in: SignIn, path: str, method: str
) -> None:
    client = sign_in("Owner", own.organization)
    for address in addresses(path, foreign):
        response = getattr(client, method)(address, follow=method == "get")
        assert response.status_code < 500
        assert b"zzforeign" not in body_of(response), address
    assert_untouched(foreign)


@pytest.mark.parametrize("path", [path for path in admin_paths() if "<" in path and model_of(path)])
def test_a_foreign_row_answers_as_a_missing_one(
    own: World, foreign: World, sign_in: SignIn, path: str
) -> None:
    client = sign_in("Owner", own.organization)
    for address in addresses(path, foreign):
        missing = re.sub(r"/\d+/", "/999999/", address)
        for method in ("get", "post"):
            there, nowhere = getattr(client, method)(address), getattr(client, method)(missing)
            assert there.status_code == nowhere.status_code != 200, f"{method} {address}"


def asked_of_lists(foreign: World) -> list[dict[str, str]]:
    """Return what a curious person would ask the lists for."""
    return [
        {},
        {"organization": str(foreign.organization.pk)},
        {"account": str(foreign.account.pk)},
        {"state": "available"},
        {"q": foreign.file.file_id},
        {"q": foreign.file.sha256},
        {"q": foreign.copy.remote_id},
        {"q": "file.txt"},
        {"q": "foreign"},
        {"q": foreign.key.prefix},
        {"q": foreign.event.object_id},
    ]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_no_list_search_filter_or_export_shows_another_organization(
    own: World, foreign: World, sign_in: SignIn, model: str
) -> None:
    client = sign_in("Owner", own.organization)
    base = reverse(f"admin:files_app_{model}_changelist")
    for address in (base, f"{base}export/", f"{base}facets/"):
        for question in asked_of_lists(foreign):
            for extra in ({}, {"format": "jsonl"}) if "export" in address else ({},):
                response = client.get(address, {**question, **extra})
                assert response.status_code in {200, 302, 400, 404}
                assert b"zzforeign" not in body_of(response), (address, question)


def test_facets_count_own_files_only(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Read-only", own.organization)
    counts = client.get(reverse("admin:files_app_file_facets")).json()
    assert counts["state"] == {"available": 1, "deleting": 1, "trashed": 1}
    assert set(counts["account"]) == {str(own.account.pk)}


def test_facets_of_one_user_are_not_answered_to_another(own: World, foreign: World, sign_in: SignIn) -> None:
    address = reverse("admin:files_app_file_facets")
    everything = sign_in("Read-only", sees_all=True).get(address).json()
    assert sum(everything["state"].values()) == 6
    assert sum(sign_in("Read-only", own.organization).get(address).json()["state"].values()) == 3


def test_the_overview_counts_own_figures_only(own: World, foreign: World, sign_in: SignIn) -> None:
    sign_in("Read-only", sees_all=True).get("/admin/")
    figures = sign_in("Read-only", own.organization).get("/admin/").context["figures"]
    assert [row.name for row in figures.organizations] == ["ours-org"]
    assert figures.deletions.dead == 1
    assert [share.name for share in figures.accounts] == ["ours-account"]
    assert sum(day.uploads for day in figures.days) == 3


def test_pickers_offer_own_rows_only(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    for model, field in (("apikey", "organization"), ("file", "account"), ("filecopy", "file")):
        answer = client.get(
            "/admin/autocomplete/", {"app_label": "files_app", "model_name": model, "field_name": field}
        )
        assert b"zzforeign" not in answer.content
    form = client.get(reverse("admin:files_app_apikey_add")).context["adminform"].form
    assert [row.name for row in form.fields["organization"].queryset] == ["ours-org"]


@pytest.mark.parametrize(
    "action", ["delete_files", "set_expiry", "retry_deletion", "recheck", "hold_files", "export_csv"]
)
def test_no_action_reaches_a_foreign_file(own: World, foreign: World, sign_in: SignIn, action: str) -> None:
    client = sign_in("Owner", own.organization)
    data = {
        "action": action,
        "_selected_action": [foreign.file.pk, foreign.dead.file_id],
        "confirmed": "1",
        "never": "on",
        "reason": "why",
    }
    response = client.post(reverse("admin:files_app_file_changelist"), data, follow=True)
    assert b"zzforeign" not in body_of(response)
    assert_untouched(foreign)


@pytest.mark.parametrize("action", ["restore_files", "purge_files"])
def test_no_action_reaches_a_foreign_file_in_the_trash(
    own: World, foreign: World, sign_in: SignIn, action: str
) -> None:
    client = sign_in("Owner", own.organization)
    data = {"action": action, "_selected_action": [foreign.trashed.pk], "confirmed": "1"}
    client.post(reverse("admin:files_app_trashedfile_changelist"), data)
    assert_untouched(foreign)


@pytest.mark.parametrize("action", ["retry_deletions", "give_up_deletions"])
def test_no_action_reaches_a_foreign_deletion(
    own: World, foreign: World, sign_in: SignIn, action: str
) -> None:
    client = sign_in("Owner", own.organization)
    data = {"action": action, "_selected_action": [foreign.dead.pk], "confirmed": "1", "reason": "mine now"}
    client.post(reverse("admin:files_app_filecopy_changelist"), data)
    assert_untouched(foreign)


def test_a_foreign_key_cannot_be_revoked_or_rotated(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    data = {"action": "revoke_keys", "_selected_action": [foreign.key.pk], "confirmed": "1"}
    client.post(reverse("admin:files_app_apikey_changelist"), data)
    client.post(reverse("admin:files_app_apikey_change", args=[foreign.key.pk]))
    foreign.key.refresh_from_db()
    assert foreign.key.revoked_at is None


def test_nothing_can_be_uploaded_for_a_foreign_organization(
    own: World, foreign: World, sign_in: SignIn
) -> None:
    client = sign_in("Owner", own.organization)
    address = (
        f"{reverse('admin:upload_send')}?organization={foreign.organization.pk}&purpose=user_data&filename=x"
    )
    response = client.put(address, b"bytes", content_type="text/plain")
    assert response.status_code == 400
    assert foreign.organization.files.count() == 3


def test_a_key_cannot_be_made_for_a_foreign_organization(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    data = {"organization": foreign.organization.pk, "name": "mine", "scopes": ["files:read"]}
    response = client.post(reverse("admin:files_app_apikey_add"), data)
    assert response.context["adminform"].form.errors["organization"]
    assert foreign.organization.api_keys.count() == 1


def test_the_audit_trail_of_a_shared_id_shows_own_events_only(
    own: World, foreign: World, sign_in: SignIn
) -> None:
    """An API provider's ids may be the same in two organizations: a shared account that deduplicates."""
    File.objects.filter(pk=foreign.file.pk).update(file_id=own.file.file_id)
    client = sign_in("Owner", own.organization)
    page = client.get(reverse("admin:files_app_file_change", args=[own.file.pk]))
    assert b"zzforeign" not in page.content
    assert all(event.organization_id == own.organization.pk for event in page.context["events"])


def test_staff_without_access_sees_nothing(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner")
    for path in admin_paths():
        for address in addresses(path, own):
            assert b"ours-" not in body_of(client.get(address, follow=True)), address


def test_staff_without_an_access_row_sees_nothing(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner")
    StaffAccess.objects.all().delete()
    assert b"ours-" not in client.get(reverse("admin:files_app_file_changelist")).content


def test_deleting_an_organization_does_not_widen_what_its_staff_sees(
    own: World, foreign: World, sign_in: SignIn
) -> None:
    client = sign_in("Owner", own.organization)
    FileCopy.objects.filter(account=own.account).delete()
    File.objects.filter(account=own.account).delete()
    own.hold.delete()
    own.organization.delete()
    assert b"zzforeign" not in client.get(reverse("admin:files_app_file_changelist")).content


def test_bound_staff_sees_its_own_rows(own: World, foreign: World, sign_in: SignIn) -> None:
    """Without this, the tests above would pass on an admin that shows nothing at all."""
    client = sign_in("Owner", own.organization)
    for model in MODELS:
        assert b"ours-" in client.get(reverse(f"admin:files_app_{model}_changelist")).content, model


def test_the_system_page_is_for_staff_that_sees_everything(own: World, sign_in: SignIn) -> None:
    assert sign_in("Owner", own.organization).get(reverse("admin:system")).status_code == 403
    assert sign_in("Read-only", sees_all=True).get(reverse("admin:system")).status_code == 200


def test_staff_manages_no_staff(own: World, sign_in: SignIn) -> None:
    """Who could edit users could make itself a superuser."""
    from django.contrib.auth.models import Permission

    client = sign_in("Owner", sees_all=True)
    user = User.objects.get(username__startswith="staff-")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403
    assert (
        client.post(reverse("admin:auth_user_change", args=[user.pk]), {"is_superuser": "on"}).status_code
        == 403
    )


def assert_untouched(world: World) -> None:
    world.file.refresh_from_db()
    world.dead.refresh_from_db()
    world.account.refresh_from_db()
    world.hold.refresh_from_db()
    assert world.hold.is_open
    world.trashed.refresh_from_db()
    assert world.trashed.state == FileState.TRASHED
    assert world.file.state == FileState.AVAILABLE
    assert world.file.expires_at is None
    assert not world.file.is_held
    assert world.dead.state == CopyState.DEAD
    assert world.account.is_enabled


def test_anonymous_visitors_are_led_to_the_sign_in(own: World) -> None:
    client = Client()
    for path in admin_paths():
        for address in addresses(path, own):
            response = client.get(address)
            is_open = address == reverse("admin:invitation")  # made for somebody who cannot sign in yet
            assert response.status_code in ({200} if is_open else {302, 401, 404, 405}), address
            assert b"ours-" not in body_of(response)
    assert admin.site.login_form is not None
