"""Accounts whose files may be another organization's: what staff sees of them, and who decides."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from files_app.models import AuditEvent, File, ProviderAccount, SharedReason
from files_app.services.accounts.sharing import mark_shared
from tests.files_app.admin.conftest import SignIn, World


@pytest.fixture
def withheld(own: World) -> World:
    File.objects.filter(pk=own.file.pk).update(is_adopted=True)
    mark_shared(own.account, SharedReason.EVIDENCE)
    return own


def page(name: str, row: ProviderAccount | File) -> str:
    return reverse(f"admin:files_app_{name}_change", args=[row.pk])


def confirm(client: Client, account: ProviderAccount) -> int:
    return client.post(reverse("admin:files_app_provideraccount_confirm", args=[account.pk])).status_code


def test_a_superuser_is_told_and_confirms(root: Client, withheld: World) -> None:
    shown = root.get(page("provideraccount", withheld.account)).content.decode()
    assert "belongs to another organization" in shown and "that are withheld: 1" in shown
    assert "withheld" in root.get(reverse("admin:files_app_file_changelist")).content.decode()
    assert confirm(root, withheld.account) == 302
    withheld.account.refresh_from_db()
    assert (withheld.account.shared_since, File.objects.filter(is_withheld=True).count()) == (None, 0)
    event = AuditEvent.objects.get(action="account.confirm")
    assert (event.actor, event.details) == ("root", {"shown": 1})
    assert "another organization" not in root.get(page("provideraccount", withheld.account)).content.decode()


@pytest.mark.parametrize("sees_all", [False, True])
def test_nobody_else_confirms(withheld: World, sign_in: SignIn, sees_all: bool) -> None:
    owner = sign_in("Owner", withheld.organization, sees_all=sees_all)
    account = owner.get(page("provideraccount", withheld.account)).content.decode()
    assert "belongs to another organization" in account and "/confirm/" not in account
    assert confirm(owner, withheld.account) == 403
    assert File.objects.filter(is_withheld=True).exists()


def test_staff_of_the_organization_sees_nothing_that_is_withheld(withheld: World, sign_in: SignIn) -> None:
    owner = sign_in("Owner", withheld.organization)
    listed = owner.get(reverse("admin:files_app_file_changelist")).content.decode()
    assert withheld.file.filename not in listed
    assert owner.get(page("file", withheld.file)).status_code in {302, 404}
    for way in ("preview", "download"):
        address = reverse(f"admin:files_app_file_{way}", args=[withheld.file.pk])
        answer = owner.post(address)
        assert b"line one" not in b"".join(answer)
    assert b"line one" not in b"".join(owner.get(reverse("admin:files_app_file_export") + "?format=csv"))


def test_what_is_withheld_is_not_deleted(root: Client, withheld: World) -> None:
    form = {"action": "delete_files", "_selected_action": withheld.file.pk, "confirmed": "1"}
    answer = root.post(reverse("admin:files_app_file_changelist"), form)
    assert "Confirm its account first" in answer.content.decode()
    assert File.objects.get(pk=withheld.file.pk).state == "available"
