"""When a provider is asked: before a list of an account that one organization owns, and in its turn."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from files_app.models import ProviderAccount
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.index.callers import system_caller
from files_app.services.upstream import schedule
from files_app.services.upstream import sync as sync_service
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, openai_account
from tests.files_app.services.upstream.elsewhere import ids, planted
from tests.processes import wait_until

across_threads = pytest.mark.django_db(transaction=True)


def test_one_odd_account_does_not_keep_others_from_their_sync(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_account(remote.organization, fake, "second")
    ProviderAccount.objects.filter(driver="openai").update(list_freshness_seconds=0)
    asked: list[str] = []

    def odd(account: ProviderAccount) -> None:
        asked.append(account.name)
        raise KeyError("a driver's mistake")

    monkeypatch.setattr(schedule, "sync_account", odd)
    schedule.sync_due_accounts()
    assert {"openai", "second"} <= set(asked)


@across_threads
def test_a_list_that_waits_holds_no_connection(
    remote: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SYNC_WAIT_SECONDS = 0.1
    ProviderAccount.objects.filter(name="openai").update(
        list_freshness_seconds=0,
        sync_token="other",
        sync_lease_expires_at=timezone.now() + timedelta(minutes=1),
    )
    account = ProviderAccount.objects.get(name="openai")
    held: list[bool] = []
    monkeypatch.setattr(schedule, "release_connection", connection.close)  # what a pool does
    monkeypatch.setattr(
        schedule.time, "sleep", lambda seconds: held.append(connection.connection is not None)
    )
    assert schedule.sync_before_list(account, caller=system_caller(remote.organization.pk)) == "stale"
    assert held
    assert not any(held)


@across_threads
def test_a_list_of_an_owned_account_asks_its_provider_first(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=30)
    forget_recent_accounts()
    file_id = planted(fake)
    mine = remote.api.create()["id"]
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine, file_id]
    assert reply.headers["x-files-gateway-sync"] == "fresh"
    asked = len(fake.requests)
    later = planted(fake, "later.jsonl")
    assert len(remote.api.get("/files", account="openai").json()["data"]) == 2
    assert len(fake.requests) == asked
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        shown = remote.api.get("/files", account="openai").json()["data"]
    assert later in [file["id"] for file in shown]


def test_a_list_without_the_header_asks_nobody(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.update(list_freshness_seconds=0)
    planted(fake)
    assert ids(remote) == []
    assert fake.requests == []


@across_threads
def test_a_list_does_not_wait_for_a_provider_that_hangs(
    remote: Tenant, fake: FakeProvider, settings: Settings
) -> None:
    settings.SYNC_WAIT_SECONDS = 0.2
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    mine, theirs = remote.api.create()["id"], planted(fake)
    fake.script({"method": "GET"}, behaviours.hang(stored=True))
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine]
    assert reply.headers["x-files-gateway-sync"] == "stale"
    fake.release()
    wait_until(
        lambda: all(thread.name != "sync" for thread in threading.enumerate()),
        seconds=30,
        what="the sync to end",
    )
    assert ids(remote) == [mine, theirs]


@across_threads
def test_a_mistake_of_ours_in_a_sync_leaves_the_index_to_answer(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*args: object) -> None:
        raise AttributeError

    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    planted(fake)
    monkeypatch.setattr(sync_service, "_merge", mistaken)
    reply = remote.api.get("/files", account="openai")
    assert (reply.status, reply.headers["x-files-gateway-sync"]) == (200, "stale")


@across_threads
def test_a_provider_that_is_down_leaves_the_index_to_answer(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    mine = remote.api.create()["id"]
    fake.script({"method": "GET", "times": None}, behaviours.fail(500))
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine]
    assert reply.headers["x-files-gateway-sync"] == "stale"
    assert ProviderAccount.objects.get(name="openai").last_sync_error
