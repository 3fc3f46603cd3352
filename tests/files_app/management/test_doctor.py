"""`manage.py doctor`"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from pytest_django import Settings

from files_app.models import (
    ApiKey,
    CopyState,
    DueTime,
    EventKind,
    File,
    FileCopy,
    FileJob,
    Heartbeat,
    JobKind,
    OpenBreaker,
    Organization,
    ProviderAccount,
    SharedReason,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.accounts.sharing import mark_shared
from files_app.services.bulk import jobs
from files_app.services.index import events
from files_app.services.index.callers import system_caller
from files_app.services.operations import doctor, health, heartbeats, host
from files_app.services.operations.findings import SHOWN_NAMES
from files_app.services.operations.host import Host
from files_app.services.webhooks.endpoints import create_endpoint
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, make_account, openai_account
from tests.files_app.management.shell import failing, good, manage
from tests.files_app.rows import force

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def healthy(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is alive, and a host that fits; /readyz sees a database of its own connections."""
    heartbeats.beat()
    monkeypatch.setattr(host, "look", lambda: Host(2, 8 * 2**30, is_part=False, open_files=65_536))
    monkeypatch.setattr(health, "failures", dict)


def findings(*arguments: str) -> list[dict[str, Any]]:
    """Return what is not in order."""
    found: list[dict[str, Any]] = manage("doctor", "--json", *arguments).json["findings"]
    return [finding for finding in found if finding["level"] != "ok"]


def only(*arguments: str) -> dict[str, Any]:
    """Return the one thing that is not in order."""
    (finding,) = findings(*arguments)
    assert finding["fix"]
    return finding


def test_a_healthy_gateway_has_no_findings() -> None:
    done = good("doctor", "--strict")
    areas = {line.split()[1] for line in done.out.splitlines()}
    assert areas >= {
        "settings",
        "disk",
        "secrets",
        "database",
        "migrations",
        "broker",
        "worker",
        "encryption",
    }
    assert areas >= {"quota", "usage", "deletions", "uploads", "accounts"}


def test_a_silent_worker_is_a_problem() -> None:
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert "last seen" in only()["detail"]
    Heartbeat.objects.all().delete()
    assert "not seen yet" in only()["detail"]
    assert "1 problem, 0 warnings." in failing("doctor").err


def test_a_worker_is_not_missed_in_the_first_minute() -> None:
    Heartbeat.objects.all().delete()
    began = timezone.now() - timedelta(seconds=20)
    Heartbeat.objects.create(name="web@here", seen_at=timezone.now(), started_at=began)
    assert findings("--offline") == []
    Heartbeat.objects.update(started_at=began - timedelta(minutes=1))
    assert "not seen yet" in only()["detail"]


def test_deletes_that_nobody_tries_are_late_at_their_account(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake)
    for account in ("local", "openai"):
        acme.api.delete(f"/files/{acme.api.create(account=account)['id']}")
    due = FileCopy.objects.filter(account__name="openai")
    due.update(next_attempt_at=timezone.now() - timedelta(minutes=12))
    assert only("--offline")["detail"] == "acme/openai: 1 deletes are late, the oldest was due 12 min ago"
    due.update(lease_expires_at=timezone.now() + timedelta(minutes=1))  # somebody is at it
    assert findings("--offline") == []
    due.update(lease_expires_at=None, next_attempt_at=timezone.now() + timedelta(minutes=1))  # it was tried
    assert findings("--offline") == []


def test_periodic_work_that_nobody_begins_or_ends_is_a_problem() -> None:
    now = timezone.now()
    row = DueTime.objects.create(name="sweep_uploads", due_at=now - timedelta(minutes=10))
    assert only()["detail"] == "sweep_uploads was due 10 min ago and nobody has begun it"
    row.due_at, row.begun_at = now + timedelta(seconds=30), now - timedelta(minutes=20)
    row.save()
    assert only()["detail"] == "sweep_uploads was begun 20 min ago and is not done"


@pytest.mark.parametrize("name", ["database", "migrations", "broker"])
def test_a_service_that_fails_is_named_with_a_fix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "failures", lambda: {name: "OperationalError"})
    assert only()["area"] == name


def test_keys_that_do_not_fit_are_a_problem(acme: Tenant, settings: Settings, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake)
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert [finding["area"] for finding in findings("--offline")] == ["encryption", "accounts"]


def test_keys_that_are_none_are_a_problem(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["short"]
    assert "gateway.E002" in only("--offline")["detail"]


def test_an_account_that_cannot_connect_is_a_problem(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake, key="wrong-key")
    finding = only()
    assert finding["detail"].startswith("acme/openai: List files failed")
    assert "accounts test acme/openai" in finding["fix"]
    asked = len(fake.requests)
    good("doctor", "--offline", "--strict")
    assert len(fake.requests) == asked


def test_an_account_that_breaks_the_check_does_not_end_it(
    acme: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_account(acme.organization, fake, "broken", base_url="http://oddity.example/v1")
    openai_account(acme.organization, fake, "refused", key="wrong-key")
    resolved = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "oddity.example":
            raise ValueError("secret in the words of a library")
        return resolved(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    details = [finding["detail"] for finding in findings() if finding["area"] == "accounts"]
    assert details[0].startswith("acme/broken: Network failed: ValueError, which nobody expected")
    assert details[1].startswith("acme/refused: List files failed")
    assert "words of a library" not in details[0]


def test_a_credential_that_a_running_server_lacks_is_a_problem(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.beat(heartbeats.WEB)
    monkeypatch.setenv("KEY_OF_THE_SHELL", "value")
    make_account(
        acme.organization, "near", "openai", options={}, credentials={"api_key": "env:KEY_OF_THE_SHELL"}
    )
    lacking = [finding for finding in findings("--offline") if finding["area"] == "credentials"]
    assert [finding["detail"].partition("@")[0] for finding in lacking] == ["web", "worker"]
    assert "cannot read env:KEY_OF_THE_SHELL" in lacking[0]["detail"]


def test_a_sync_that_fails_or_is_stale_is_a_warning(acme: Tenant) -> None:
    ProviderAccount.objects.update(last_sync_error="401 from provider")
    assert "the last sync failed: 401 from provider" in only()["detail"]
    ProviderAccount.objects.update(last_sync_error="", last_synced_at=timezone.now() - timedelta(days=1))
    assert "acme/local: the sync that was due 24 h ago is not done" in only()["detail"]
    assert good("doctor").code == 0
    assert "0 problems, 1 warning." in failing("doctor", "--strict").err


def test_wrong_counters_are_a_problem_and_stay(acme: Tenant) -> None:
    Organization.objects.update(used_bytes=5)
    assert "orgs recount" in only()["fix"]
    assert Organization.objects.get().used_bytes == 5


@pytest.mark.parametrize(
    ("values", "level", "words"),
    [
        ({"state": CopyState.DEAD}, "problem", "1 deletes were given up"),
        ({"state": CopyState.DELETING}, "warning", "more than an hour"),
        ({"state": CopyState.UNCONFIRMED}, "warning", "may have left a file behind"),
    ],
)
def test_deletes_that_hang_are_named(
    acme: Tenant, stored: str, values: dict[str, Any], level: str, words: str
) -> None:
    force(FileCopy.objects, **values, state_changed_at=timezone.now() - timedelta(hours=2))
    finding = only()
    assert (finding["area"], finding["level"]) == ("deletions", level)
    assert words in finding["detail"]


@pytest.mark.parametrize(("share", "level"), [(0.79, None), (0.81, "warning"), (0.96, "problem")])
def test_a_quota_that_is_nearly_full_is_named(
    acme: Tenant, stored: str, share: float, level: str | None
) -> None:
    acme.set_limits(quota_bytes=round(acme.fresh().used_bytes / share))
    assert [finding["level"] for finding in findings()] == ([level] if level else [])


@pytest.mark.parametrize(("free", "level"), [(10**6, "problem"), (10**9, "warning"), (10**11, None)])
def test_a_disk_that_is_nearly_full_is_named(
    monkeypatch: pytest.MonkeyPatch, free: int, level: str | None
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - free, free))
    assert {finding["level"] for finding in findings()} == ({level} if level else set())


def test_secrets_that_others_can_read_are_a_problem(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "secrets").mkdir()
    secret = tmp_path / "secrets" / "secret_key"
    secret.touch(mode=0o644)
    os.chmod(secret, 0o644)
    assert "secret_key" in only()["detail"]
    os.chmod(secret, 0o600)
    assert not findings()


def test_a_data_directory_that_others_can_enter_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    tmp_path.chmod(0o755)
    finding = only()
    assert f"DATA_DIR {tmp_path} is open to other users" in finding["detail"]
    assert finding["fix"] == f"chmod 700 {tmp_path}"
    tmp_path.chmod(0o700)
    assert not findings()


def test_an_empty_gateway_is_told_what_to_do_first() -> None:
    ProviderAccount.objects.all().delete()
    assert only()["area"] == "accounts"
    ApiKey.objects.all().delete()
    assert {finding["area"] for finding in findings()} == {"accounts", "keys"}
    Organization.objects.all().delete()
    assert {finding["area"] for finding in findings()} == {"accounts", "organizations"}


def test_a_shared_account_is_named_with_what_it_withholds(acme: Tenant) -> None:
    mark_shared(acme.accounts["local"], SharedReason.EVIDENCE)
    finding = only("--offline")
    assert (finding["area"], finding["level"]) == ("tenants", "problem")
    assert "acme/local is shared since" in finding["detail"] and "0 adopted files" in finding["detail"]
    assert "accounts confirm acme/local" in finding["fix"]


def test_of_many_accounts_that_have_no_place_the_first_are_named_and_the_others_counted(acme: Tenant) -> None:
    rows = [
        ProviderAccount(organization=acme.organization, name=f"more-{number:02}", driver="openai")
        for number in range(12)
    ]
    ProviderAccount.objects.bulk_create(rows)
    [finding] = [each for each in doctor.glance() if "it is not known where" in each.detail]
    assert finding.detail.startswith("acme/more-00, acme/more-01, ")
    assert f" and {12 - SHOWN_NAMES} more: " in finding.detail


def test_organizations_at_one_host_are_named_until_they_are_confirmed(
    acme: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    for tenant in (acme, other):
        openai_account(tenant.organization, fake)
    finding = only("--offline")
    assert (finding["area"], finding["level"]) == ("tenants", "warning")
    assert "acme/openai, other/openai" in finding["detail"] and str(fake.port) in finding["detail"]
    ProviderAccount.objects.update(confirmed_at=timezone.now())
    assert findings("--offline") == []


def test_accounts_that_were_not_placed_are_named(acme: Tenant) -> None:
    acme.accounts["local"].places.all().delete()
    assert "acme/local: nothing is adopted" in only("--offline")["detail"]


def test_a_connection_that_doctor_tries_decides_nothing(acme: Tenant) -> None:
    findings()
    assert ProviderAccount.objects.get(organization=acme.organization).access_proved_at is None


def test_what_is_left_on_disk_is_explained(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = str(tmp_path)
    incoming = tmp_path / "files" / f"account-{'0' * 32}" / "files" / ".incoming"
    incoming.mkdir(parents=True)
    for name, age_seconds in (("dead", 7_200), ("running", 0)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - age_seconds,) * 2)
    words = good("doctor").out
    assert "1 half-written files (4 bytes) of uploads that died" in words
    assert f"account-{'0' * 32} in {tmp_path / 'files'} are of accounts that were deleted" in words


def test_it_names_an_account_whose_provider_does_not_answer(acme: Tenant, fake: FakeProvider) -> None:
    account = openai_account(acme.organization, fake)
    told = {"opened_at": timezone.now(), "seen_at": timezone.now(), "error": "It hangs."}
    for process in "web-1/7", "web-2/7":
        OpenBreaker.objects.create(account=account, kind="write", process=process, **told)
    finding = only()
    assert (finding["level"], "acme/openai: write" in finding["detail"]) == ("problem", True)
    OpenBreaker.objects.update(seen_at=timezone.now() - timedelta(minutes=3))
    assert not findings()


def test_webhooks_that_do_not_arrive_are_named(acme: Tenant) -> None:
    caller = system_caller(acme.organization.pk)
    endpoint, _ = create_endpoint(acme.organization, name="hooks", url="https://1.1.1.1/", caller=caller)
    [row] = events.write([endpoint.pk], EventKind.FILE_LOST, {"id": "file-x"})
    assert findings() == []
    rows = WebhookDelivery.objects.filter(pk=row.pk)
    rows.update(give_up_at=timezone.now() + timedelta(hours=22, minutes=59))
    late = only()
    assert (late["area"], late["level"]) == ("webhooks", "warning")
    assert "more than an hour" in late["detail"] and f"{acme.organization.name}/hooks" in late["detail"]
    force(rows, state="dead")
    rows.update(state_changed_at=timezone.now())
    assert "gave up" in only()["detail"]
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_enabled=False, disabled_reason="410")
    assert "no more" in only()["detail"]
    good("webhooks", "disable", "hooks", "--organization", acme.organization.name)
    assert findings() == []


def test_a_job_that_nobody_goes_on_with_is_named(acme: Tenant) -> None:
    acme.api.create()
    order = jobs.Order(JobKind.RECHECK, "all of it")
    job = jobs.create(order, File.objects.all(), caller=system_caller(acme.organization.pk))
    FileJob.objects.update(created_at=timezone.now() - timedelta(minutes=16))
    stuck = only()
    assert (stuck["area"], stuck["level"]) == ("jobs", "problem")
    assert job.public_id in stuck["detail"] and "1 of 1 files wait" in stuck["detail"]
    FileJob.objects.update(lease_token="t", lease_expires_at=timezone.now() + timedelta(minutes=1))
    assert findings() == []
