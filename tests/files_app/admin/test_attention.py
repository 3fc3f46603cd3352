"""What needs attention, with the verb that mends it, and no more than the user may see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from files_app.admin.attention import Line
from files_app.models import (
    ApiKey,
    CopyState,
    FailureKind,
    File,
    FileState,
    OpenBreaker,
    Organization,
    ProviderAccount,
    SharedReason,
)
from files_app.services.tenants.keys import forget_cached_keys, verify_key
from tests.files_app.admin.conftest import SignIn, World, store
from tests.files_app.cast import Tenant
from tests.files_app.rows import force

QUEUE = reverse("admin:files_app_filecopy_changelist")


def told(client: Client, words: str) -> Line | None:
    """Return the line of the overview that has the words."""
    lines: list[Line] = client.get("/admin/").context["attention"]
    return next((line for line in lines if words in line.detail), None)


def account_page(world: World) -> str:
    return reverse("admin:files_app_provideraccount_change", args=[world.account.pk])


def refuse_credentials(world: World) -> File:
    file = store(world.organization, filename="refused.txt")
    force(File.objects.filter(pk=file.pk), state=FileState.FAILED, failure_kind=FailureKind.CREDENTIALS)
    File.objects.filter(pk=file.pk).update(state_changed_at=timezone.now())
    return file


def trouble(world: World, name: str) -> None:
    """Bring one kind of trouble to an organization."""
    account = ProviderAccount.objects.filter(pk=world.account.pk)
    match name:
        case "silent":
            now = timezone.now()
            OpenBreaker.objects.create(
                account=world.account, kind="read", process="h/1", opened_at=now, seen_at=now, error="timeout"
            )
        case "sync":
            account.update(last_sync_error="the list made no sense")
        case "credentials":
            refuse_credentials(world)
        case "shared":
            account.update(shared_since=timezone.now(), shared_reason=SharedReason.EVIDENCE)
        case "quota":
            Organization.objects.filter(pk=world.organization.pk).update(quota_bytes=100, used_bytes=97)
        case "files":
            Organization.objects.filter(pk=world.organization.pk).update(max_files=10, file_count=9)


@pytest.mark.parametrize(
    ("name", "words", "verb", "link"),
    [
        ("silent", "does not answer (read)", "Test connection", "?test=1"),
        ("sync", "the list made no sense", "Test connection", "?test=1"),
        ("credentials", "refused the credentials", "Enter credentials", "/change/"),
        ("shared", "another organization", "Open account", "/change/"),
    ],
)
def test_trouble_with_an_account_has_its_verb(
    root: Client, own: World, foreign: World, name: str, words: str, verb: str, link: str
) -> None:
    trouble(own, name)
    line = told(root, words)
    assert line is not None
    assert line.subject == "ours-org/ours-account"
    assert line.verbs[0].title == verb
    assert line.verbs[0].link == account_page(own) + ("?test=1" if link == "?test=1" else "")


@pytest.mark.parametrize(("name", "words"), [("quota", "97 %"), ("files", "9 of 10 files (90 %)")])
def test_a_full_organization_leads_to_its_quota_and_its_largest_files(
    root: Client, own: World, name: str, words: str
) -> None:
    trouble(own, name)
    line = told(root, words)
    assert line is not None and line.subject == "ours-org" and line.is_critical == (name == "quota")
    assert [verb.title for verb in line.verbs] == ["Raise quota", "Largest files"]
    assert line.verbs[0].link == reverse("admin:files_app_organization_change", args=[own.organization.pk])
    assert root.get(line.verbs[1].link).context["cl"].result_list[0].organization_id == own.organization.pk


def test_dead_deletions_are_retried_in_two_clicks(root: Client, own: World, foreign: World) -> None:
    line = told(root, "1 deletion exhausted")
    assert line is not None and line.subject == "ours-org/ours-account"
    retry = line.verbs[0]
    assert (retry.title, line.is_critical) == ("Retry 1", True)
    asked = root.post(retry.link, {"action": retry.action, "select_across": "1", "_selected_action": "0"})
    assert b"Retry now: 1 selected" in asked.content
    root.post(retry.link, {"action": retry.action, "confirmed": "1", "_selected_action": [own.dead.pk]})
    own.dead.refresh_from_db()
    foreign.dead.refresh_from_db()
    assert (own.dead.state, foreign.dead.state) == (CopyState.DELETING, CopyState.DEAD)
    left = told(root, "1 deletion exhausted")
    assert left is not None and left.subject == "zzforeign-org/zzforeign-account"


def test_what_waits_at_a_silent_provider_is_one_click_away(root: Client, own: World) -> None:
    trouble(own, "silent")
    line = told(root, "does not answer")
    assert line is not None
    assert line.verbs[1].title == "1 deletion waits"
    assert [row.pk for row in root.get(line.verbs[1].link).context["cl"].result_list] == [own.dead.pk]


def test_credentials_count_as_refused_until_something_says_otherwise(root: Client, own: World) -> None:
    file = refuse_credentials(own)

    def is_shown() -> bool:
        return told(root, "refused the credentials") is not None

    assert is_shown()
    store(own.organization, filename="taken.txt")
    assert not is_shown()
    later = timezone.now() + timedelta(seconds=1)
    File.objects.filter(pk=file.pk).update(state_changed_at=later)
    assert is_shown()
    ProviderAccount.objects.filter(pk=own.account.pk).update(credentials_changed_at=later)
    assert not is_shown()


@pytest.mark.parametrize("name", ["silent", "sync", "credentials", "shared", "quota"])
def test_nobody_sees_another_organizations_trouble(
    sign_in: SignIn, own: World, foreign: World, name: str
) -> None:
    trouble(foreign, name)
    body = sign_in("Owner", own.organization).get("/admin/").content.decode()
    assert "zzforeign" not in body


def test_a_role_that_only_reads_is_offered_nothing_that_it_may_not_do(sign_in: SignIn, own: World) -> None:
    for name in ("sync", "quota"):
        trouble(own, name)
    client = sign_in("Read-only", own.organization)
    titles = {verb.title for line in client.get("/admin/").context["attention"] for verb in line.verbs}
    assert titles == {"Open account", "Open", "Largest files", "Why"}


def test_trouble_of_many_costs_no_more_queries(root: Client, own: World, foreign: World) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            root.get("/admin/")
        return len(queries)

    root.get("/admin/")
    trouble(own, "sync")
    trouble(own, "quota")
    few = asked()
    trouble(foreign, "sync")
    trouble(foreign, "quota")
    assert asked() == few


# -- a key -----------------------------------------------------------------------------------------------


def test_the_page_of_a_key_leads_to_what_came_with_it(root: Client, acme: Tenant, other: Tenant) -> None:
    acme.api.create(b"x" * 2048, filename="mine.txt")
    other.api.create(b"theirs")
    ApiKey.objects.filter(pk=acme.key.pk).update(last_used_ip="192.0.2.44")
    page = root.get(reverse("admin:files_app_apikey_change", args=[acme.key.pk]))
    files, failures, events = page.context["use"]
    assert (files.text, failures.text, events.text) == ("1 stored, 2 KiB", "0", "1")
    assert b"192.0.2.44" in page.content
    listed = root.get(files.link).context["cl"].result_list
    assert [row.filename for row in listed] == ["mine.txt"]
    assert root.get(failures.link).status_code == 200
    rows = root.get(events.link).context["cl"].result_list
    assert [(event.action, event.organization_id) for event in rows] == [
        ("file.create", acme.organization.pk)
    ]


def test_a_key_remembers_from_where_it_was_used(acme: Tenant) -> None:
    plain = acme.api.key
    ApiKey.objects.filter(pk=acme.key.pk).update(last_used_at=None)
    forget_cached_keys()
    verify_key(plain, ip="192.0.2.7")
    acme.key.refresh_from_db()
    assert acme.key.last_used_ip == "192.0.2.7"
