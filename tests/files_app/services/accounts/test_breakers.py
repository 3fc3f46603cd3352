"""Breakers: what opens one, who is refused meanwhile, what closes it, and what others see of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from pytest_django import Settings

from files_app.models import FileCopy, OpenBreaker, ProviderAccount
from files_app.observability.gauges import breaker_gauges
from files_app.services.accounts import breaker_records
from files_app.services.accounts.drivers import driver_for
from files_app.services.deletes.delivery import deliver
from files_app.services.operations import heartbeats
from files_app.services.operations.connection_test import check_connection
from files_app.services.upstream.schedule import sync_due_accounts
from providers.exceptions import ProviderError, ProviderUnavailableError
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant

pytestmark = pytest.mark.django_db


class Clock:
    """time.monotonic() as a test wants it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("files_app.services.accounts.breakers.time", clock)
    return clock


def fail(account: ProviderAccount, fake: FakeProvider, times: int = 3) -> None:
    """Let questions to the provider fail, each by a connection that breaks twice."""
    fake.script({"method": "GET", "times": 2 * times}, behaviours.drop())
    for _ in range(times):
        with pytest.raises(ProviderUnavailableError):
            driver_for(account).list_files()


def is_refused(account: ProviderAccount, fake: FakeProvider) -> bool:
    """Whether a question is refused before the provider is asked."""
    asked = len(fake.requests)
    try:
        driver_for(account).list_files()
    except ProviderError as exc:
        return not exc.was_asked and len(fake.requests) == asked
    return False


def test_it_opens_and_lets_one_through_at_a_time_until_that_works(
    remote: Tenant, fake: FakeProvider, clock: Clock
) -> None:
    account = remote.accounts["openai"]
    fail(account, fake, 2)
    assert not is_refused(account, fake)  # and a success in between begins anew
    fail(account, fake, 3)
    assert is_refused(account, fake)
    clock.now += 10.5
    fail(account, fake, 1)
    clock.now += 10.5  # now it waits twice as long
    assert is_refused(account, fake)
    clock.now += 10
    assert not is_refused(account, fake)
    assert not is_refused(account, fake)


def test_a_try_that_hangs_lets_no_second_one_through(
    remote: Tenant, fake: FakeProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = remote.accounts["openai"]
    fail(account, fake)
    monkeypatch.setattr(breaker_records, "tell", lambda breaker: None)  # the thread has another connection
    clock.now += 10.5
    fake.script({"method": "GET"}, behaviours.hang())
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(driver_for(account).list_files)
        fake.wait_until_paused()
        assert is_refused(account, fake)
        fake.release()
        asked.result()


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_any_answer_is_one(remote: Tenant, fake: FakeProvider, status: int) -> None:
    fake.script({"times": None}, behaviours.fail(status))
    for _ in range(5):
        with pytest.raises(ProviderError):
            driver_for(remote.accounts["openai"]).list_files()
    assert not is_refused(remote.accounts["openai"], fake)


def test_kinds_and_accounts_do_not_know_each_other(remote: Tenant, fake: FakeProvider) -> None:
    fail(remote.accounts["openai"], fake)
    assert is_refused(remote.accounts["openai"], fake)
    created = remote.api.create(purpose="evals")
    assert remote.api.get(f"/files/{created['id']}/content").body == b"hello"


def test_an_account_that_leads_elsewhere_now_is_asked(remote: Tenant, fake: FakeProvider) -> None:
    account = remote.accounts["openai"]
    fail(account, fake)
    account.options = {**account.options, "base_url": account.options["base_url"] + "/"}
    assert not is_refused(account, fake)
    assert not OpenBreaker.objects.exists()


def test_an_upload_is_refused_before_its_body_is_read(remote: Tenant, fake: FakeProvider) -> None:
    fake.script({"method": "POST", "times": 3}, behaviours.drop())
    for _ in range(3):
        assert remote.api.upload().status == 502
    reply = remote.api.upload_body(b"", length=10_000)
    assert (reply.status, reply.error["code"]) == (502, "provider_unavailable")
    assert 1 <= int(reply.headers["Retry-After"]) <= 10


def test_a_client_that_sends_slowly_is_not_the_providers_failure(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1_000_000, 5))
    monkeypatch.setattr("files_app.web.bodies.time.monotonic", lambda: float(next(ticks)))
    fake.script({"method": "POST", "times": 5}, behaviours.drop(after_body_bytes=100))
    for _ in range(5):
        assert remote.api.upload(b"x" * 1_000).status == 502
    assert remote.api.upload().status == 200


def test_content_that_stalls_counts_behind_its_head(remote: Tenant, fake: FakeProvider, clock: Clock) -> None:
    content = b"0123456789abcdef" * 40_000
    file_id = remote.api.create(content, purpose="evals")["id"]
    fake.script({"path": "/content$", "times": 3}, behaviours.cut_answer(400_000))
    for _ in range(3):
        with pytest.raises(ProviderError), remote.api.open("GET", f"/files/{file_id}/content") as reply:
            list(reply.chunks)
    refused = remote.api.get(f"/files/{file_id}/content")
    assert (refused.status, "Retry-After" in refused.headers) == (502, True)
    clock.now += 10.5
    assert remote.api.get(f"/files/{file_id}/content").body == content


def test_a_delete_waits_and_no_attempt_is_burnt(remote: Tenant, fake: FakeProvider) -> None:
    file_ids = [remote.api.create()["id"] for _ in range(4)]
    for file_id in file_ids:
        remote.api.delete(f"/files/{file_id}")
    fake.script({"method": "DELETE", "times": None}, behaviours.drop())
    *tried, last = FileCopy.objects.order_by("pk")
    for copy in tried:
        deliver(copy.pk)
    asked = len(fake.requests)
    assert deliver(last.pk) == "deleting"
    last.refresh_from_db()
    assert (last.attempts, last.first_attempt_at, last.lease_token, len(fake.requests)) == (
        0,
        None,
        "",
        asked,
    )
    assert "not asked" in last.last_error


def test_a_sync_is_skipped(remote: Tenant, fake: FakeProvider) -> None:
    account = remote.accounts["openai"]
    account.list_freshness_seconds = 0
    account.save()
    remote.organization.provider_accounts.filter(name="local").update(is_enabled=False)
    fail(account, fake)
    asked = len(fake.requests)
    assert sync_due_accounts() == 0
    account.refresh_from_db()
    assert (len(fake.requests), account.last_sync_error) == (asked, "")


def test_a_connection_test_asks_all_the_same_and_closes_it(remote: Tenant, fake: FakeProvider) -> None:
    account = remote.accounts["openai"]
    fail(account, fake)
    assert all(step.ok for step in check_connection(account))
    assert not is_refused(account, fake)


def test_a_disk_has_none(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise ProviderUnavailableError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr("providers.local.LocalDriver._create_file", full)
        assert [acme.api.upload().status for _ in range(5)] == [502] * 5
    assert acme.api.upload().status == 200


def test_others_see_it_for_as_long_as_its_process_says_so(
    remote: Tenant, fake: FakeProvider, settings: Settings
) -> None:
    account = remote.accounts["openai"]
    with time_machine.travel("2026-11-26T12:00:00Z", tick=False) as now:
        fail(account, fake)
        assert OpenBreaker.objects.current().get().kind == "read"
        (gauge,) = breaker_gauges(True)
        (sample,) = gauge.samples
        assert sample.labels == {
            "driver": "openai",
            "kind": "read",
            "organization": "acme",
            "provider": "openai",
        }
        now.shift(110)
        heartbeats.beat(heartbeats.WEB)
        now.shift(110)
        assert OpenBreaker.objects.current().exists()
        now.shift(110)
        assert not OpenBreaker.objects.current().exists()


def test_zero_failures_never_open_one(remote: Tenant, fake: FakeProvider, settings: Settings) -> None:
    settings.BREAKER_FAILURES = 0
    fail(remote.accounts["openai"], fake, 5)
    assert not is_refused(remote.accounts["openai"], fake)
