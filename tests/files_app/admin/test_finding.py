"""Who, what, where: the list of files, what it adds up, and the page of a failed upload."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from files_app import migrations
from files_app.admin import paginator
from files_app.models import (
    AuditEvent,
    CopyState,
    FailureKind,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
)
from files_app.services.accounts.saving import save_account
from files_app.services.uploads.failure import kind_of
from providers.exceptions import CredentialsError, ProviderTimeoutError, RateLimitedError
from tests.fake_provider import FakeProvider
from tests.files_app.admin.conftest import SignIn, World, store
from tests.files_app.cast import Tenant, openai_account
from tests.files_app.rows import force

LIST = reverse("admin:files_app_file_changelist")
REASON = "OpenAI refuses the credentials of this account."


def found(client: Client, **question: str) -> list[str]:
    page = client.get(LIST, question, follow=True)
    assert page.status_code == 200
    return [row.filename for row in page.context["cl"].result_list]


def body(client: Client, path: str, **question: str) -> str:
    return client.get(path, question).content.decode()


def failed_upload(world: World, *, kind: str = FailureKind.CREDENTIALS, reason: str = REASON) -> File:
    """Return an upload that failed, with its event."""
    file = store(world.organization, filename="broken.jsonl")
    force(
        File.objects.filter(pk=file.pk),
        state=FileState.FAILED,
        failure=reason,
        failure_kind=kind,
        state_changed_at=timezone.now(),
    )
    force(file.copies, state=CopyState.FAILED, last_error=reason)
    AuditEvent.objects.create(
        organization=world.organization,
        actor_type=AuditEvent.Actor.API_KEY,
        actor=world.key.name,
        action="file.create",
        object_type="file",
        object_id=file.file_id,
        result="failed",
        request_id="req_0123456789abcdef",
        ip="192.0.2.9",
        details={"reason": reason},
    )
    file.refresh_from_db()
    return file


# -- who -------------------------------------------------------------------------------------------------


def test_an_upload_is_found_by_its_key_and_by_its_person(root: Client, acme: Tenant) -> None:
    acme.api.upload(b"{}", filename="by-key.txt")
    sent = root.put(
        f"{reverse('admin:upload_send')}?organization={acme.organization.pk}&purpose=user_data&filename=by-root.txt",
        b"bytes",
        content_type="text/plain",
    )
    assert sent.status_code == 200
    by_key, by_root = File.objects.get(filename="by-key.txt"), File.objects.get(filename="by-root.txt")
    assert (by_key.api_key, by_key.uploaded_by) == (acme.key, "")
    assert (by_root.api_key, by_root.uploaded_by) == (None, "root")
    assert found(root, by=f"key-{acme.key.pk}") == ["by-key.txt"]
    assert found(root, by="person-root") == ["by-root.txt"]
    listed = body(root, LIST)
    assert f"?by=key-{acme.key.pk}" in listed and "?by=person-root" in listed
    assert "uploaded by staff" not in body(root, reverse("admin:files_app_file_change", args=[by_root.pk]))


def test_files_of_before_get_the_name_of_their_uploader(own: World, foreign: World) -> None:
    (name,) = (each.name for each in iter_modules(migrations.__path__) if each.name.endswith("_uploaders"))
    File.objects.update(uploaded_by="")
    migration = import_module(f"{migrations.__name__}.{name}")
    migration.name_uploaders(apps, SimpleNamespace(connection=connection))
    assert set(File.objects.values_list("uploaded_by", flat=True)) == {"somebody"}
    File.objects.filter(pk=own.file.pk).update(uploaded_by="", api_key=own.key)
    migration.name_uploaders(apps, SimpleNamespace(connection=connection))
    own.file.refresh_from_db()
    assert own.file.uploaded_by == ""


@pytest.mark.parametrize("value", ["key-", "key-x", "key-9" * 30, "person-", "root", "key-²"])
def test_an_uploader_that_is_none_finds_nothing(root: Client, own: World, value: str) -> None:
    assert found(root, by=value) == []


def test_the_name_of_another_organizations_key_is_not_offered(
    sign_in: SignIn, own: World, foreign: World
) -> None:
    page = body(sign_in("Read-only", own.organization), LIST, by=f"key-{foreign.key.pk}")
    assert "zzforeign" not in page


def test_a_request_id_leads_to_its_file(root: Client, own: World, foreign: World, sign_in: SignIn) -> None:
    file = failed_upload(own)
    assert found(root, q="req_0123456789abcdef") == ["broken.jsonl"]
    assert found(root, q="req_nobody") == []
    assert found(sign_in("Read-only", foreign.organization), q="req_0123456789abcdef") == []
    assert file.file_id in body(root, LIST, q="req_0123456789abcdef")


# -- what ------------------------------------------------------------------------------------------------


def test_the_list_shows_what_is_stored_and_a_tab_the_rest(root: Client, own: World) -> None:
    failed_upload(own)
    assert found(root) == ["ours-file.txt"]
    assert found(root, state="failed") == ["broken.jsonl"]
    assert found(root, state="all") == ["broken.jsonl", "ours-trash.txt", "ours-gone.txt", "ours-file.txt"]
    assert found(root, q="ours-gone") == ["ours-gone.txt"]  # whoever searches wants it in any state
    failed = body(root, LIST, state="failed")
    assert REASON in failed and "credentials refused" in failed


def test_a_tab_without_files_says_so(root: Client, own: World) -> None:
    assert "No upload failed" in body(root, LIST, state="failed")


def test_failed_uploads_are_deleted_but_not_what_a_provider_may_hold(root: Client, own: World) -> None:
    over, unclear = failed_upload(own), failed_upload(own)
    force(unclear.copies, state=CopyState.UNCONFIRMED)
    data = {"action": "delete_files", "_selected_action": [over.pk, unclear.pk], "confirmed": "1"}
    page = root.post(LIST, data).content.decode()
    assert "1 of 2 done" in page and "may hold bytes of it" in page
    assert not File.objects.filter(pk=over.pk).exists()
    assert not FileCopy.objects.filter(file=over.pk).exists()
    assert File.objects.filter(pk=unclear.pk).exists()
    event = AuditEvent.objects.get(action="file.delete", object_id=over.file_id)
    assert (event.actor, event.details) == ("root", {"reason": "failed upload"})


def test_only_roles_that_delete_may_delete_failed_uploads(sign_in: SignIn, own: World) -> None:
    file = failed_upload(own)
    data = {"action": "delete_files", "_selected_action": [file.pk], "confirmed": "1"}
    sign_in("Read-only", own.organization).post(LIST, data)
    assert File.objects.filter(pk=file.pk).exists()


def test_a_failure_is_told_once_with_the_way_out(root: Client, own: World) -> None:
    file = failed_upload(own)
    page = body(root, reverse("admin:files_app_file_change", args=[file.pk]))
    assert page.count(REASON) == 1
    assert page.count("req_0123456789abcdef") >= 1
    account = reverse("admin:files_app_provideraccount_change", args=[own.account.pk])
    assert f'href="{account}?test=1"' in page and f'href="{account}"' in page
    assert "Enter credentials" in page


def test_a_full_quota_leads_to_the_organization(root: Client, own: World) -> None:
    file = failed_upload(own, kind=FailureKind.QUOTA, reason="The organization's storage is full")
    page = body(root, reverse("admin:files_app_file_change", args=[file.pk]))
    assert reverse("admin:files_app_organization_change", args=[own.organization.pk]) in page
    assert "?test=1" not in page


def test_a_role_that_tests_nothing_is_offered_no_test(sign_in: SignIn, own: World) -> None:
    file = failed_upload(own)
    page = body(
        sign_in("Read-only", own.organization), reverse("admin:files_app_file_change", args=[file.pk])
    )
    assert REASON in page and "?test=1" not in page


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CredentialsError("no"), FailureKind.CREDENTIALS),
        (RateLimitedError("slow"), FailureKind.RATE_LIMITED),
        (ProviderTimeoutError("late"), FailureKind.UNAVAILABLE),
        (MemoryError(), FailureKind.GATEWAY),
    ],
)
def test_an_error_says_whose_turn_it_is(error: BaseException, kind: FailureKind) -> None:
    assert kind_of(error) == kind


def test_what_a_provider_refuses_is_written_on_the_row(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, "refused", key="sk-wrong")
    answer = acme.api.upload(b"{}", headers={"x-tfy-provider-name": "refused"})
    assert answer.status >= 400
    assert File.objects.get(account__name="refused").failure_kind == FailureKind.CREDENTIALS


# -- where, how much, in which order ---------------------------------------------------------------------


def sized(world: World, *sizes: int) -> None:
    for size in sizes:
        store(world.organization, b"x" * size, filename=f"of-{size}.txt")


def test_the_first_click_on_size_brings_the_largest(root: Client, own: World) -> None:
    sized(own, 5, 500, 50)
    assert found(root, o="5")[0] == "of-500.txt"
    assert found(root, o="-5")[-1] == "of-500.txt"


def test_the_order_of_expiry_begins_with_what_goes_next(root: Client, own: World) -> None:
    sized(own, 1, 2, 3)
    for days, name in ((9, "of-1.txt"), (2, "of-3.txt")):
        File.objects.filter(filename=name).update(expires_at=timezone.now() + timedelta(days=days))
    assert found(root, o="8") == ["of-3.txt", "of-1.txt"]
    assert found(root, o="-8") == ["of-1.txt", "of-3.txt"]
    assert found(root, expiry="later") == ["of-1.txt"]
    assert found(root, expiry="some") == ["of-3.txt", "of-1.txt"]
    page = root.get(LIST, {"o": "8", "purpose": "user_data"}, follow=True)
    assert page.redirect_chain[0][0].endswith("expiry=some")
    choices = next(spec for spec in page.context["cl"].filter_specs if spec.title == "expiry")
    everything = next(iter(choices.choices(page.context["cl"])))["query_string"]
    assert "o=" not in everything and "purpose=user_data" in everything


def test_days_bound_the_list_at_both_ends(root: Client, own: World) -> None:
    sized(own, 1, 2, 3)
    for day, name in ((1, "of-1.txt"), (2, "of-2.txt"), (3, "of-3.txt")):
        moment = timezone.now().replace(2024, 5, day)
        File.objects.filter(filename=name).update(indexed_at=moment)
    assert found(root, since="2024-05-02", until="2024-05-03") == ["of-3.txt", "of-2.txt"]
    assert found(root, until="2024-05-01") == ["of-1.txt"]
    assert "ours-file.txt" in found(root, since="2024-05-03")
    for nonsense in ("yesterday", "2024-13-01", "9999-12-31", "\x00"):
        assert found(root, until=nonsense, since="2024-05-04") in ([], ["ours-file.txt"])
    page = body(root, LIST, since="2024-05-02", purpose="user_data")
    assert 'name="since" value="2024-05-02"' in page and "from 2024-05-02" in page
    events = reverse("admin:files_app_auditevent_changelist")
    assert "Nothing matches" in body(root, events, until="2001-01-01")


def test_the_bytes_stand_beside_the_count(root: Client, own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sized(own, 1024, 1024)
    assert "1&ndash;2 of 2 &middot; 2 KiB" in body(root, LIST, q="of-1024")
    monkeypatch.setattr(paginator, "MAX_COUNTED", 1)
    assert "of 1+ &middot; more than 2 KiB" in body(root, LIST, q="of-1024")
    Organization.objects.filter(pk=own.organization.pk).update(used_bytes=7 * 1024**3, file_count=1234)
    assert "of 1,234 &middot; 7 GiB" in body(root, LIST)
    assert "of 1,234 &middot; 7 GiB" in body(root, LIST, organization=str(own.organization.pk))
    assert "7 GiB" not in body(root, LIST, purpose="user_data")


def test_the_way_back_keeps_the_filters(root: Client, own: World) -> None:
    page = root.get(LIST, {"state": "available", "q": "ours"})
    address = reverse("admin:files_app_file_change", args=[own.file.pk])
    assert f"{address}?_changelist_filters=" in page.content.decode()
    shown = body(root, address, _changelist_filters="state=available&q=ours")
    assert f'href="{LIST}?state=available&amp;q=ours"' in shown
    hostile = body(root, address, _changelist_filters='"><script>=javascript:1')
    assert "<script>=" not in hostile


@pytest.fixture
def twin(own: World, foreign: World) -> ProviderAccount:
    """An account of the other organization that has the name of ours."""
    account = ProviderAccount(
        organization=foreign.organization,
        name=own.account.name,
        driver="local",
        options={"directory": "twin"},
    )
    save_account(account)
    return account


def test_accounts_of_one_name_are_told_apart(
    root: Client, own: World, foreign: World, twin: ProviderAccount, sign_in: SignIn
) -> None:
    store(foreign.organization, filename="of-the-twin.txt", account=twin)
    page = body(root, LIST)
    assert "ours-org/ours-account" in page and "zzforeign-org/ours-account" in page
    assert "zzforeign-org/zzforeign-account" not in page
    assert "ours-org/ours-account" in body(root, reverse("admin:files_app_filecopy_changelist"))
    shares = {share.account.name for share in root.get("/admin/").context["shares"]}
    assert shares == {"ours-org/ours-account", "zzforeign-org/ours-account", "zzforeign-account"}
    alone = body(sign_in("Read-only", own.organization), LIST)
    assert "ours-org/ours-account" not in alone and "ours-account" in alone
