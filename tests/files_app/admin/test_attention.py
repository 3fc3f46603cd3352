"""What needs attention, with the verb that mends it, and no more than the user may see."""

from __future__ import annotations

from datetime import datetime, timedelta

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
    DeliveryState,
    EventKind,
    FailureKind,
    File,
    FileJob,
    FileState,
    OpenBreaker,
    Organization,
    ProviderAccount,
    SharedReason,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.operations import attention
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
        case "given_up":
            give_up(world)
        case "gone":
            WebhookEndpoint.objects.filter(pk=world.webhook.pk).update(
                is_enabled=False, disabled_reason="It answered 410."
            )
        case "job":
            FileJob.objects.filter(pk=world.job.pk).update(created_at=timezone.now() - timedelta(hours=1))
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


def give_up(world: World, **instead: object) -> WebhookDelivery:
    """Let the one event of an organization be given up; a failed test, and an old one, are not meant."""
    rows = WebhookDelivery.objects.filter(endpoint=world.webhook)
    test, old = (WebhookDelivery.objects.get(pk=world.told.pk) for _ in range(2))
    test.pk, test.message_id, test.kind = None, "msg_test", EventKind.TEST
    old.pk, old.message_id = None, "msg_old"
    WebhookDelivery.objects.bulk_create([test, old])
    force(rows, state=DeliveryState.DEAD, **instead)
    rows.update(state_changed_at=timezone.now())
    rows.filter(message_id="msg_old").update(state_changed_at=timezone.now() - timedelta(days=8))
    return rows.get(kind=EventKind.FILE_LOST, message_id__startswith="msg_", state_changed_at__gt=week())


def week() -> datetime:
    return timezone.now() - timedelta(days=7)


def test_events_that_were_given_up_are_sent_again_in_two_clicks(
    root: Client, own: World, foreign: World
) -> None:
    row = give_up(own)
    line = told(root, "1 event given up")
    assert line is not None
    assert (line.subject, line.is_critical) == ("ours-org/ours-webhook", True)
    again, why = line.verbs
    assert (again.title, why.title) == ("Send 1 again", "Why")
    assert [each.pk for each in root.get(why.link).context["cl"].result_list] == [row.pk]
    asked = root.post(again.link, {"action": again.action, "select_across": "1", "_selected_action": "0"})
    assert b"Send again: 1 selected" in asked.content
    root.post(again.link, {"action": again.action, "confirmed": "1", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.state == DeliveryState.PENDING
    assert told(root, "given up") is None


def test_an_endpoint_with_much_to_look_at_does_not_hide_another(
    root: Client, own: World, foreign: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_COUNTED", 1)
    for each in own, foreign:
        many = [WebhookDelivery.objects.get(pk=each.webhook.deliveries.latest("pk").pk) for _ in range(3)]
        for number, row in enumerate(many):
            row.pk, row.message_id = None, f"msg_{number}"
        WebhookDelivery.objects.bulk_create(many)
        force(WebhookDelivery.objects.all(), state=DeliveryState.DEAD)
    lines: list[Line] = root.get("/admin/").context["attention"]
    shown = [line.subject for line in lines if "more than 1 events given up" in line.detail]
    assert shown == ["ours-org/ours-webhook", "zzforeign-org/zzforeign-webhook"]


def test_an_endpoint_that_takes_nothing_for_an_hour_is_shown(root: Client, own: World) -> None:
    assert told(root, "more than an hour") is None
    WebhookDelivery.objects.filter(pk=own.told.pk).update(
        give_up_at=timezone.now() + timedelta(hours=22, minutes=59)
    )
    line = told(root, "1 event tried for more than an hour")
    assert line is not None
    assert (line.subject, line.is_critical) == ("ours-org/ours-webhook", False)
    assert [verb.title for verb in line.verbs] == ["Send 1 again", "Why"]
    listed = root.get(line.verbs[1].link).context["cl"].result_list
    assert [each.pk for each in listed] == [own.told.pk]
    WebhookEndpoint.objects.filter(pk=own.webhook.pk).update(is_enabled=False)
    assert told(root, "more than an hour") is None


@pytest.mark.parametrize("switched", ["on", "off"])
def test_an_endpoint_that_answered_410_is_shown_until_somebody_has_decided(
    root: Client, own: World, switched: str
) -> None:
    WebhookEndpoint.objects.filter(pk=own.webhook.pk).update(
        is_enabled=False, disabled_reason="It answered 410."
    )
    line = told(root, "switched off by the gateway: It answered 410.")
    assert line is not None and line.subject == "ours-org/ours-webhook"
    assert [verb.title for verb in line.verbs] == ["Switch on or leave off"]
    assert b"Leave it off" in root.get(line.verbs[0].link).content
    root.post(line.verbs[0].link, {"switch": switched})
    assert told(root, "switched off") is None
    own.webhook.refresh_from_db()
    assert own.webhook.is_enabled == (switched == "on")


def test_a_job_that_nobody_goes_on_with_is_one_click_away(root: Client, own: World) -> None:
    assert told(root, "has not moved") is None
    jobs = FileJob.objects.filter(pk=own.job.pk)
    jobs.update(created_at=timezone.now() - timedelta(minutes=16))
    line = told(root, "1 of 1 files wait")
    assert line is not None
    assert (line.subject, line.is_critical) == ("Re-check of ours-described", True)
    assert root.get(line.verbs[0].link).context["job"] == own.job
    assert sum("has not moved" in each.detail for each in root.get("/admin/").context["attention"]) == 1
    jobs.update(progressed_at=timezone.now())
    assert told(root, "has not moved") is None


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


@pytest.mark.parametrize(
    "name", ["silent", "sync", "credentials", "shared", "quota", "given_up", "gone", "job"]
)
def test_nobody_sees_another_organizations_trouble(
    sign_in: SignIn, own: World, foreign: World, name: str
) -> None:
    trouble(foreign, name)
    body = sign_in("Owner", own.organization).get("/admin/").content.decode()
    assert "zzforeign" not in body


def test_a_role_that_only_reads_is_offered_nothing_that_it_may_not_do(sign_in: SignIn, own: World) -> None:
    for name in ("sync", "quota", "given_up", "job"):
        trouble(own, name)
    client = sign_in("Read-only", own.organization)
    titles = {verb.title for line in client.get("/admin/").context["attention"] for verb in line.verbs}
    assert titles == {"Open account", "Open", "Largest files", "Why", "Look"}


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
