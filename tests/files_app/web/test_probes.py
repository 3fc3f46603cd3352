"""`/readyz` names what fails, and `/metrics` shows its figures to those who may see them."""

import tomllib
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from files_app.models import (
    DueTime,
    EventKind,
    File,
    FileCopy,
    FileJob,
    Heartbeat,
    JobKind,
    Organization,
    ProviderAccount,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.observability import metrics
from files_app.services.accounts.drivers import driver_for
from files_app.services.bulk import jobs
from files_app.services.bulk.work import take_turn
from files_app.services.index import events
from files_app.services.index.callers import system_caller
from files_app.services.operations import health, heartbeats
from files_app.services.operations.health import BoundedCheck
from files_app.services.webhooks.endpoints import create_endpoint
from files_app.web import probes
from providers.exceptions import ProviderUnavailableError
from tests.files_app.cast import Tenant, make_account
from tests.files_app.rows import force
from tests.stack import PROJECT

pytestmark = [pytest.mark.urls("tests.files_app.web.urls"), pytest.mark.django_db]


@pytest.fixture
def organizations() -> None:
    Organization.objects.create(name="acme", quota_bytes=1000, used_bytes=300)
    Organization.objects.create(name="globex", quota_bytes=500, used_bytes=200)


def exposition(client: Client, token: str = "") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.get("/metrics", headers=headers).content.decode()


@pytest.mark.usefixtures("organizations")
def test_an_open_endpoint_names_no_organization(client: Client) -> None:
    text = exposition(client)
    assert "files_gateway_used_bytes 500.0" in text
    assert "files_gateway_pending_deletes 0.0" in text
    assert "acme" not in text


@pytest.mark.usefixtures("organizations")
def test_a_token_shows_organizations(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "scraper"
    text = exposition(client, "scraper")
    assert 'files_gateway_used_bytes{organization="acme"} 300.0' in text
    assert 'files_gateway_quota_bytes{organization="globex"} 500.0' in text


def test_accounts_are_named_only_with_a_token(client: Client, settings: Settings) -> None:
    for account in "tenants-own-name", "another-name":
        metrics.count_bytes(driver="an-api", provider=account, received=3, sent=0)
    text = exposition(client)
    assert 'files_gateway_bytes_total{direction="in",driver="an-api"} 6.0' in text
    assert not [name for name in ("tenants-own-name", "another-name") if name in text]
    settings.METRICS_TOKEN = "scraper"
    counted = 'files_gateway_bytes_total{direction="in",driver="an-api",provider="tenants-own-name"} 3.0'
    assert counted in exposition(client, "scraper")


@pytest.mark.urls("gateway.urls")
def test_a_providers_errors_are_counted_by_account_with_a_token(
    client: Client, settings: Settings, acme: Tenant
) -> None:
    account = make_account(
        acme.organization,
        "nobody-there",
        "openai",
        options={"base_url": "http://127.0.0.1:1/v1"},
        credentials={"api_key": "sk-nobody"},
    )
    with pytest.raises(ProviderUnavailableError):
        driver_for(account).list_files()
    text = exposition(client)
    assert "nobody-there" not in text
    what = 'driver="openai",error="ProviderUnavailableError",operation="list"'
    assert f"files_gateway_provider_errors_total{{{what}}}" in text
    settings.METRICS_TOKEN = "scraper"
    what = what.replace(",operation", ',operation="list",organization="acme",provider="nobody-there"')
    what = what.removesuffix('="list"')
    assert f"files_gateway_provider_errors_total{{{what}}} 1.0" in exposition(client, "scraper")


def test_the_version_and_those_that_run_are_told(client: Client) -> None:
    now = timezone.now()
    for name, seconds in (("worker@one", 20), ("worker@two", 600), ("web@one", 5)):
        Heartbeat.objects.create(name=name, seen_at=now - timedelta(seconds=seconds))
    DueTime.objects.create(name="expire_files", begun_at=now - timedelta(seconds=30))
    found = series(exposition(client))
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    (built,) = (name for name in found if name.startswith("files_gateway_build_info"))
    assert f'version="{pyproject["project"]["version"]}"' in built
    assert found['files_gateway_processes{kind="worker"}'] == 1
    assert 20 <= found['files_gateway_heartbeat_age_seconds{kind="worker"}'] < 120
    assert 30 <= found["files_gateway_beat_age_seconds"] < 130
    assert found['files_gateway_disk_free_bytes{folder="data"}'] > 0
    assert found["files_gateway_transfer_places"] >= found["files_gateway_transfers"] == 0


@pytest.mark.urls("gateway.urls")
def test_syncs_are_told_by_account_with_a_token(client: Client, settings: Settings, acme: Tenant) -> None:
    account = acme.accounts["local"]
    hour_ago = timezone.now() - timedelta(hours=1)
    ProviderAccount.objects.filter(pk=account.pk).update(
        last_synced_at=hour_ago, last_sync_error="It is away.", list_freshness_seconds=30
    )
    found = series(exposition(client))
    assert found['files_gateway_failing_syncs{driver="local"}'] == 1
    assert 3_600 <= found['files_gateway_sync_age_seconds{driver="local"}'] < 3_700
    settings.METRICS_TOKEN = "scraper"
    named = 'files_gateway_failing_syncs{driver="local",organization="acme",provider="local"}'
    assert series(exposition(client, "scraper"))[named] == 1
    ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=False)
    probes.exposition.forget()
    assert named not in exposition(client, "scraper")


def test_one_full_organization_is_seen_among_many(client: Client) -> None:
    for number in range(5):
        Organization.objects.create(name=f"roomy-{number}", quota_bytes=10**15, used_bytes=1)
    full = Organization.objects.create(name="full", quota_bytes=1_000, used_bytes=900, reserved_bytes=50)
    assert series(exposition(client))["files_gateway_nearly_full_organizations"] == 1
    Organization.objects.filter(pk=full.pk).update(used_bytes=899)
    probes.exposition.forget()
    assert series(exposition(client))["files_gateway_nearly_full_organizations"] == 0


def series(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def lags(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if "_lag_seconds" in line and line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.urls("gateway.urls")
def test_lag_is_measured_from_when_it_was_due(client: Client, settings: Settings, acme: Tenant) -> None:
    now = timezone.now()
    DueTime.objects.create(name="expire_files", due_at=now - timedelta(seconds=90))
    DueTime.objects.create(name="prune_records", due_at=now + timedelta(hours=1))
    acme.api.delete(f"/files/{acme.api.create()['id']}")
    FileCopy.objects.update(next_attempt_at=now - timedelta(seconds=300))
    found = lags(exposition(client))
    assert 300 <= found["files_gateway_deletes_lag_seconds"] < 400
    assert 90 <= found['files_gateway_upkeep_lag_seconds{work="expire_files"}'] < 190
    assert found['files_gateway_upkeep_lag_seconds{work="prune_records"}'] == 0
    settings.METRICS_TOKEN = "scraper"
    assert (
        300
        <= lags(exposition(client, "scraper"))['files_gateway_deletes_lag_seconds{provider="local"}']
        < 400
    )
    FileCopy.objects.update(lease_expires_at=now + timedelta(minutes=1))  # somebody is at it
    probes.exposition.forget()
    assert "files_gateway_deletes_lag_seconds{" not in exposition(client, "scraper")


def test_webhooks_that_do_not_arrive_are_counted(client: Client, settings: Settings, acme: Tenant) -> None:
    caller = system_caller(acme.organization.pk)
    on, gone = (
        create_endpoint(acme.organization, name=name, url="https://1.1.1.1/", caller=caller)[0]
        for name in ("on", "gone")
    )
    pks = [on.pk, gone.pk]
    late, dead, _, _ = (events.write(pks, EventKind.FILE_LOST, {})[0] for _ in range(4))
    [test] = events.write([on.pk], EventKind.TEST, {})
    rows = WebhookDelivery.objects
    rows.filter(pk=late.pk).update(give_up_at=timezone.now() + timedelta(hours=22))
    force(rows.filter(pk__in=[dead.pk, test.pk]), state="dead")
    WebhookEndpoint.objects.filter(pk=gone.pk).update(is_enabled=False, disabled_reason="410")
    expected = {
        "pending_webhooks": 3,
        "late_webhooks": 1,
        "dead_webhooks": 1,
        "gone_webhook_endpoints": 1,
    }
    found = series(exposition(client))
    assert {name: found[f"files_gateway_{name}"] for name in expected} == expected
    settings.METRICS_TOKEN = "scraper"
    found = series(exposition(client, "scraper"))
    label = f'{{organization="{acme.organization.name}"}}'
    assert {name: found[f"files_gateway_{name}{label}"] for name in expected} == expected


@pytest.mark.urls("gateway.urls")
def test_jobs_that_nobody_goes_on_with_are_counted(client: Client, acme: Tenant) -> None:
    acme.api.create()
    order = jobs.Order(JobKind.RECHECK, "all of it")
    jobs.create(order, File.objects.all(), caller=system_caller(acme.organization.pk))
    FileJob.objects.update(progressed_at=timezone.now() - timedelta(minutes=16))
    found = series(exposition(client))
    names = "files_gateway_unfinished_jobs", "files_gateway_stuck_jobs"
    assert [found[name] for name in names] == [1, 1]
    assert take_turn(FileJob.objects.get().pk) is False
    probes.exposition.forget()
    found = series(exposition(client))
    assert [found[name] for name in names] == [0, 0]
    assert FileJob.objects.get().progressed_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_token_is_refused(client: Client, settings: Settings, token: str) -> None:
    settings.METRICS_TOKEN = "scraper"
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert b"files_gateway" not in answer.content


def test_processes_share_their_counters(client: Client) -> None:
    client.get("/healthz")
    assert 'files_gateway_requests_total{method="GET",route="healthz",status="200"}' in exposition(client)


def fail() -> None:
    raise ConnectionError("password=hunter2")


def test_the_answer_names_what_fails_and_hides_why(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", {"good": BoundedCheck(lambda: None), "bad": BoundedCheck(fail)})
    answer = client.get("/readyz")
    assert answer.status_code == 503
    body = answer.json()
    assert body["status"] == "unavailable"
    assert body["checks"] == {"good": "ok", "bad": "ConnectionError"}


@pytest.mark.django_db(transaction=True)
def test_a_migrated_database_and_the_embedded_broker_are_ready(client: Client) -> None:
    assert client.get("/readyz").json() == {
        "status": "ok",
        "checks": {"database": "ok", "broker": "ok", "migrations": "ok"},
        "background": "worker not seen yet",
    }


@pytest.mark.django_db(transaction=True)
def test_background_work_that_stands_is_told_and_takes_no_server_out(client: Client) -> None:
    heartbeats.beat()
    assert client.get("/readyz").json()["background"] == "ok"
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(minutes=7))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["background"] == "worker last seen 7 min ago"
