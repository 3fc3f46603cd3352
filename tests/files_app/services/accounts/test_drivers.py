"""The one door to a provider: whatever asks one holds no connection to the database while it waits.

Each flow runs on PostgreSQL with its pool. What leaves the process is watched where it leaves: each piece
that goes over a wire or comes back, each step on the disk.
"""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from files_app.models import CopyState, File, FileCopy, FileState, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.sharing import prove_access
from files_app.services.deletes.expiry import expire_files
from files_app.services.index.callers import Caller, system_caller
from files_app.services.operations import cleanup
from files_app.services.operations.connection_test import check_connection
from files_app.services.upstream.rebuild import rebuild_index
from files_app.services.upstream.recheck import recheck_file
from files_app.services.upstream.reconcile import Orders, reconcile_account
from files_app.services.upstream.schedule import sync_due_accounts
from files_app.services.upstream.verify import verify_files
from providers.transports import disk, guard
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, deliver_deletes, local_account, make_tenant, openai_account
from tests.files_app.forms import encode, expiry_parts, file_part, purpose_part
from tests.files_app.pooled import Lent, empty, other_database
from tests.files_app.rows import force
from tests.servers import PostgreSQL

CONTENT = b"0123456789abcdef" * 40_000
ACCOUNTS = ("openai", "local")
SENDING = "_WatchfulConnection._send_until_answered"
EVERYWHERE = pytest.mark.parametrize("account", ACCOUNTS)


@dataclass
class Outside:
    """What has left the process, and what was held at that moment. Empty it before the flow begins."""

    lent: Lent
    steps: Counter[str] = field(default_factory=Counter)
    held: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.steps[name] += 1
        self.held += [f"{thread} holds a connection at {name}" for thread in self.lent.threads.values()]

    def begin(self) -> None:
        self.steps.clear()
        self.held.clear()

    def watch(self, monkeypatch: pytest.MonkeyPatch, owner: type, *names: str) -> None:
        for name in names:
            monkeypatch.setattr(owner, name, self._watched(f"{owner.__name__}.{name}", getattr(owner, name)))

    def _watched(self, label: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.step(label)
            return original(*args, **kwargs)

        return watched


@pytest.fixture(scope="module")
def migrated(postgresql: PostgreSQL) -> str:
    return postgresql.create_gateway_database("pooled")


@pytest.fixture
def outside(
    migrated: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> Iterator[Outside]:
    outside = Outside(Lent())
    outside.lent.watch(monkeypatch)
    outside.watch(monkeypatch, http.client.HTTPConnection, "connect", "send", "getresponse")
    outside.watch(monkeypatch, guard._WatchfulConnection, "_send_until_answered")
    outside.watch(monkeypatch, http.client.HTTPResponse, "read", "readinto")
    outside.watch(monkeypatch, disk.DiskStore, "begin", "describe", "open", "delete", "list_page", "sweep")
    outside.watch(monkeypatch, disk._DiskWriting, "write", "publish", "abort")
    with django_db_blocker.unblock(), other_database(migrated):
        empty()
        yield outside


@pytest.fixture
def tenant(outside: Outside, fake: FakeProvider) -> Tenant:
    """An organization with an account of its own on disk and one at the fake provider."""
    tenant = make_tenant("acme")
    tenant.accounts["local"] = local_account(tenant.organization)
    tenant.accounts["openai"] = openai_account(tenant.organization, fake, is_default=True)
    return tenant


def caller_of(tenant: Tenant) -> Caller:
    return system_caller(tenant.organization.pk)


def stored(tenant: Tenant, account: str, filename: str = "a.png") -> File:
    """Return a file whose content its provider gives back."""
    file_id = tenant.api.create(CONTENT, "vision", filename, account=account)["id"]
    return File.objects.get(file_id=file_id)


def missed_before() -> None:
    """Let every file be a day old, and missed already: once more, and it is lost."""
    yesterday = timezone.now() - timedelta(days=1)
    File.objects.update(indexed_at=yesterday)
    FileCopy.objects.update(state_changed_at=yesterday, missing_since=yesterday)


def disappear(tenant: Tenant, file: File) -> None:
    """Let a provider lose a file."""
    driver_for(file.account).delete_file(file.copies.get().remote_id)


def planted(tenant: Tenant, fake: FakeProvider, account: str) -> None:
    """Put a file at the provider that nothing explains and that a reconciliation may remove."""
    if account == "openai":
        fake.add_file("openai", filename="stray.jsonl", created_at=1_700_000_000, purpose="batch_output")
        return
    root = driver_for(tenant.accounts["local"]).root  # type: ignore[attr-defined]
    stray = root / "org-999" / f"file-{'a' * 26}.txt"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")


def test_the_watch_sees_a_connection_that_is_held(tenant: Tenant, outside: Outside) -> None:
    outside.begin()
    assert ProviderAccount.objects.count() == 2
    outside.step("a step")
    assert outside.held == ["MainThread holds a connection at a step"]


@EVERYWHERE
def test_an_upload(tenant: Tenant, outside: Outside, account: str) -> None:
    form = encode([purpose_part("vision"), file_part(CONTENT)])
    outside.begin()
    pieces = (form[start : start + 50_000] for start in range(0, len(form), 50_000))
    assert tenant.api.upload_body(pieces, length=len(form), account=account).status == 200
    assert outside.steps[SENDING if account == "openai" else "_DiskWriting.write"] > 1
    assert outside.held == []


@EVERYWHERE
def test_a_download(tenant: Tenant, outside: Outside, account: str) -> None:
    file = stored(tenant, account)
    outside.begin()
    assert tenant.api.get(f"/files/{file.file_id}/content").body == CONTENT
    assert outside.steps
    assert outside.held == []


def test_a_list_that_asks_first(tenant: Tenant, fake: FakeProvider, outside: Outside) -> None:
    planted(tenant, fake, "openai")
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    outside.begin()
    assert len(tenant.api.get("/files", account="openai").json()["data"]) == 1
    assert outside.steps
    assert outside.held == []


def test_a_sync_in_its_turn(tenant: Tenant, fake: FakeProvider, outside: Outside) -> None:
    stored(tenant, "openai", "kept.png")
    lost = stored(tenant, "openai", "lost.png")
    disappear(tenant, lost)
    missed_before()
    planted(tenant, fake, "openai")
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    outside.begin()
    assert sync_due_accounts() == 2
    assert set(File.objects.values_list("filename", "state")) == {
        ("kept.png", "available"),
        ("lost.png", "lost"),
        ("stray.jsonl", "available"),
    }
    assert outside.steps[SENDING] >= 2  # the list, and the question for what it lacks
    assert outside.held == []


def test_a_retrieve_that_adopts(tenant: Tenant, fake: FakeProvider, outside: Outside) -> None:
    planted(tenant, fake, "openai")
    (remote,) = fake.store("openai")
    outside.begin()
    assert tenant.api.get(f"/files/{remote.remote_id}").status == 200
    assert outside.steps
    assert outside.held == []


@EVERYWHERE
def test_a_delete_is_delivered(tenant: Tenant, outside: Outside, account: str) -> None:
    file = stored(tenant, account)
    assert tenant.api.delete(f"/files/{file.file_id}").status == 200
    outside.begin()
    deliver_deletes()
    assert FileCopy.objects.get().state == CopyState.DELETED
    assert outside.steps
    assert outside.held == []


@EVERYWHERE
def test_an_expiry(tenant: Tenant, outside: Outside, account: str) -> None:
    tenant.api.create(parts=[*expiry_parts(), purpose_part("vision"), file_part()], account=account)
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    outside.begin()
    assert expire_files() == 1
    deliver_deletes()
    assert File.objects.get().state == FileState.DELETED
    assert outside.steps
    assert outside.held == []


def test_the_search_for_a_lost_answer(tenant: Tenant, fake: FakeProvider, outside: Outside) -> None:
    fake.script({"method": "POST"}, behaviours.store_then_drop())
    assert tenant.api.upload(CONTENT).status == 502
    FileCopy.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    outside.begin()
    cleanup.sweep_uploads()
    assert FileCopy.objects.get().state == CopyState.DELETING  # it was found
    assert outside.steps
    assert outside.held == []


def test_the_search_for_an_object_of_an_upload_that_died(tenant: Tenant, outside: Outside) -> None:
    stored(tenant, "local")
    past = timezone.now() - timedelta(seconds=1)
    force(File.objects, state=FileState.UPLOADING, lease_token="gone", lease_expires_at=past)
    force(FileCopy.objects, state=CopyState.UPLOADING, remote_id="")
    outside.begin()
    assert cleanup.sweep_uploads() == 1
    FileCopy.objects.update(next_attempt_at=past)
    cleanup.sweep_uploads()
    assert FileCopy.objects.get().state == CopyState.DELETING
    assert outside.steps
    assert outside.held == []


def test_the_sweep_of_the_stores(tenant: Tenant, outside: Outside) -> None:
    outside.begin()
    cleanup.sweep_stores()
    assert outside.steps["DiskStore.sweep"] == 1
    assert outside.held == []


@EVERYWHERE
def test_a_reconciliation_with_every_order(
    tenant: Tenant, fake: FakeProvider, outside: Outside, account: str
) -> None:
    for name in ("kept.png", "lost.png"):
        stored(tenant, account, name)
    disappear(tenant, File.objects.get(filename="lost.png"))
    missed_before()
    planted(tenant, fake, account)
    place = tenant.accounts[account]
    if account == "openai":  # what a sync would take in is never removed
        prove_access(openai_account(make_tenant("other").organization, fake))
    outside.begin()
    orders = Orders(remove_unexplained=True, mark_lost=True, protection=timedelta())
    report = reconcile_account(place, caller=caller_of(tenant), orders=orders)
    done = {(each.finding, each.action) for each in report.differences}
    assert done == {("lost", "marked as lost"), ("unexplained", "removed")}
    assert outside.steps
    assert outside.held == []


@EVERYWHERE
def test_a_recheck(tenant: Tenant, outside: Outside, account: str) -> None:
    file = stored(tenant, account)
    outside.begin()
    assert "has it, status processed" in recheck_file(file, caller=caller_of(tenant))
    disappear(tenant, file)
    missed_before()
    file.refresh_from_db()
    assert "marked as lost" in recheck_file(file, caller=caller_of(tenant))
    assert outside.steps
    assert outside.held == []


@EVERYWHERE
def test_a_verification(tenant: Tenant, outside: Outside, account: str) -> None:
    for name in ("a.png", "b.png"):
        stored(tenant, account, name)
    outside.begin()
    verdicts = verify_files(File.objects.all(), caller=caller_of(tenant), on_bytes=lambda amount: None)
    assert [verdict.outcome for verdict in verdicts] == ["intact", "intact"]
    assert outside.steps
    assert outside.held == []


@EVERYWHERE
def test_a_connection_test_with_its_round_trip(tenant: Tenant, outside: Outside, account: str) -> None:
    place = ProviderAccount.objects.get(name=account)
    outside.begin()
    steps = []
    for step in check_connection(place, round_trip=True):
        assert ProviderAccount.objects.filter(pk=place.pk).exists()  # as who shows the steps may do
        steps.append(step)
    assert steps[-1].name == "Delete it"
    assert all(step.ok for step in steps)
    assert outside.steps
    assert outside.held == []


def test_a_rebuild(tenant: Tenant, outside: Outside) -> None:
    stored(tenant, "local")
    File.objects.all().delete()
    outside.begin()
    rebuilt = rebuild_index(tenant.accounts["local"], owners={}, caller=caller_of(tenant))
    assert rebuilt.restored == {"acme": 1}
    assert outside.steps["DiskStore.list_page"] >= 1
    assert outside.held == []
