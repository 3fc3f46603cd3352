"""What is told, when, and that nobody pays who did not ask."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from files_app.models import (
    File,
    OpenBreaker,
    Organization,
    ProviderAccount,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.deletes import outbox, trash
from files_app.services.deletes.expiry import expire_files
from files_app.services.deletes.purging import empty_trash
from files_app.services.index.callers import system_caller
from files_app.services.uploads.failure import give_up_stuck
from files_app.services.upstream.lost import find_again, mark_lost
from files_app.services.upstream.recheck import recheck_file
from files_app.services.webhooks.conditions import tell_conditions
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant
from tests.files_app.receiver import Receiver
from tests.files_app.rows import force
from tests.files_app.webhooks import endpoint_of, kinds


def told(kind: str) -> dict[str, Any]:
    [row] = WebhookDelivery.objects.filter(kind=kind)
    message: dict[str, Any] = json.loads(row.payload)
    assert message["type"] == kind
    data: dict[str, Any] = message["data"]
    return data


def test_an_upload_and_its_delete_are_told_as_the_file_object(
    acme: Tenant, endpoint: WebhookEndpoint
) -> None:
    created = acme.api.create()
    acme.api.delete(f"/files/{created['id']}")
    assert kinds() == ["file.created", "file.deleted"]
    assert told("file.created") == created
    assert told("file.deleted")["id"] == created["id"]


def test_an_organization_without_endpoints_pays_no_statement(
    acme: Tenant, other: Tenant, receiver: Receiver, private: None
) -> None:
    def statements() -> list[str]:
        acme.api.create()
        with CaptureQueriesContext(
            connection,
        ) as seen:
            acme.api.create()
        return [query["sql"] for query in seen.captured_queries]

    before = statements()
    endpoint_of(other, receiver)
    after = statements()
    assert len(after) == len(before)
    assert not any("webhook" in sql for sql in after)
    assert kinds() == []


def test_what_is_undone_is_not_told(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    acme.api.create()
    file = File.objects.get()
    with transaction.atomic():
        outbox.delete_file(file, caller=system_caller())
        transaction.set_rollback(True)
    assert kinds() == ["file.created"]


def test_an_endpoint_is_told_what_it_asked_for(acme: Tenant, receiver: Receiver, private: None) -> None:
    endpoint_of(acme, receiver, "deletes", ["file.deleted"])
    endpoint_of(acme, receiver, "all")
    file_id = acme.api.create()["id"]
    acme.api.delete(f"/files/{file_id}")
    rows = WebhookDelivery.objects.filter(kind="file.deleted")
    assert rows.count() == 2
    assert len(set(rows.values_list("message_id", flat=True))) == 1
    assert WebhookDelivery.objects.filter(kind="file.created").get().endpoint.name == "all"


def test_expiry_failure_and_loss_are_told(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    expiring, lost = (File.objects.get(file_id=acme.api.create()["id"]) for _ in range(2))
    File.objects.filter(pk=expiring.pk).update(expires_at=timezone.now())
    expire_files()
    assert told("file.expired")["id"] == expiring.file_id
    copy = lost.copies.select_related("file__account").get()
    assert mark_lost(copy)
    assert told("file.lost")["id"] == lost.file_id
    assert find_again(copy)
    assert kinds()[-1] == "file.created"
    stuck = File.objects.get(file_id=acme.api.create()["id"])
    force(
        File.objects.filter(pk=stuck.pk),
        state="uploading",
        lease_expires_at=timezone.now() - timedelta(hours=1),
    )
    force(stuck.copies, state="uploading")
    assert give_up_stuck(10) == 1
    failed = told("file.failed")
    assert (failed["status"], failed["id"]) == ("error", stuck.file_id)
    assert "no progress" in failed["status_details"]


def test_the_trash_is_gone_for_clients_and_back(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    acme.set_limits(trash_days=7)
    file_id = acme.api.create()["id"]
    acme.api.delete(f"/files/{file_id}")
    file = File.objects.get(file_id=file_id)
    trash.restore(file, caller=system_caller(acme.organization.pk))
    outbox.delete_file(File.objects.get(pk=file.pk), caller=system_caller(acme.organization.pk))
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        empty_trash()
    assert kinds() == ["file.created", "file.deleted", "file.created", "file.deleted"]


def test_a_provider_that_has_finished_is_told(
    remote: Tenant, fake: FakeProvider, endpoint: WebhookEndpoint
) -> None:
    file = File.objects.get(file_id=remote.api.create()["id"])
    File.objects.filter(pk=file.pk).update(status="uploaded")
    recheck_file(File.objects.get(pk=file.pk), caller=system_caller(remote.organization.pk))
    recheck_file(File.objects.get(pk=file.pk), caller=system_caller(remote.organization.pk))
    assert told("file.processed")["status"] == "processed"


def test_each_threshold_of_the_quota_is_told_once_a_crossing(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    size = acme.api.create()["bytes"]
    rows = Organization.objects.filter(pk=acme.organization.pk)
    rows.update(quota_bytes=size * 10, used_bytes=size * 9)
    tell_conditions()
    tell_conditions()
    assert told("organization.quota")["threshold_percent"] == 80
    acme.set_limits(quota_bytes=size * 10)
    acme.api.create()  # the last that has room
    told_percents = [
        json.loads(row.payload)["data"]["threshold_percent"]
        for row in WebhookDelivery.objects.filter(kind="organization.quota").order_by("pk")
    ]
    assert told_percents == [80, 95, 100]
    rows.update(used_bytes=0)
    tell_conditions()
    rows.update(used_bytes=size * 8)
    tell_conditions()
    assert WebhookDelivery.objects.filter(kind="organization.quota").count() == 4


def test_an_account_that_fails_and_recovers_is_told_once(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    account = acme.accounts["local"]
    breaker = OpenBreaker.objects.create(
        account=account,
        kind="read",
        process="p",
        opened_at=timezone.now(),
        seen_at=timezone.now(),
        error="away",
    )
    tell_conditions()
    tell_conditions()
    assert told("account.failing")["error"] == "away"
    breaker.delete()
    tell_conditions()
    tell_conditions()
    assert told("account.recovered")["name"] == "local"


def test_why_a_shared_account_fails_is_not_for_tenants(acme: Tenant, endpoint: WebhookEndpoint) -> None:
    account = acme.accounts["local"]
    ProviderAccount.objects.filter(pk=account.pk).update(
        organization=None, last_sync_error="inner.host refused"
    )
    tell_conditions()
    assert "error" not in told("account.failing")
