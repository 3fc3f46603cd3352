"""`manage.py reconcile`"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from files_app.models import AuditEvent, CopyState, File, FileCopy, FileState, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, openai_account
from tests.files_app.management.shell import failing, good, manage
from tests.files_app.rows import force

LONG_AGO = 1_700_000_000


@pytest.fixture
def shared(acme: Tenant, fake: FakeProvider) -> ProviderAccount:
    """A shared account at the fake OpenAI, whose files may be anybody's."""
    return openai_account(None, fake, "common")


def reconcile(*arguments: str) -> dict[str, Any]:
    """Reconcile the one account that is named first and return its report."""
    report: dict[str, Any] = manage("reconcile", *arguments, "--json").json[0]
    return report


def planted(fake: FakeProvider, created_at: int | None = LONG_AGO, **kwargs: Any) -> str:
    return fake.add_file("openai", filename="stray.jsonl", created_at=created_at, **kwargs).remote_id


def uploaded(acme: Tenant) -> str:
    file_id: str = acme.api.create(b"\x89PNG", "vision", "a.png", account="common")["id"]
    return file_id


def test_index_and_provider_that_agree_are_fine(acme: Tenant, shared: ProviderAccount) -> None:
    uploaded(acme)
    done = good("reconcile")
    assert "shared/common: 1 file at the provider" in done.out


def test_a_file_that_no_row_explains_is_reported_and_stays(
    acme: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    remote_id = planted(fake)
    done = failing("reconcile")
    assert remote_id in done.out and "no row explains it" in done.out
    assert "1 account of 2 need a look" in done.err
    assert fake.store("openai")


def test_a_file_that_the_next_sync_takes_in_is_no_problem(remote: Tenant, fake: FakeProvider) -> None:
    planted(fake)
    assert "the next sync takes it in" in good("reconcile", "acme/openai").out
    good("reconcile", "acme/openai", "--remove-unexplained", "--yes")
    assert fake.store("openai")


def test_an_unexplained_file_is_removed_when_told_so(
    acme: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    kept, stray = uploaded(acme), planted(fake)
    assert "--yes" in failing("reconcile", "common", "--remove-unexplained", code=2).err
    (row,) = reconcile("common", "--remove-unexplained", "--dry-run")["differences"]
    assert (row["remote_id"], row["action"]) == (stray, "would be removed")
    assert len(fake.store("openai")) == 2
    report = reconcile("common", "--remove-unexplained", "--yes")
    assert [row["action"] for row in report["differences"]] == ["removed"]
    assert report["needs_attention"] is False
    assert [stored.remote_id for stored in fake.store("openai")] == [kept]
    assert AuditEvent.objects.get(action="reconcile.remove").object_id == stray


def test_a_young_file_is_protected(acme: Tenant, shared: ProviderAccount, fake: FakeProvider) -> None:
    planted(fake, created_at=int((timezone.now() - timedelta(hours=23)).timestamp()))
    report = reconcile("common", "--remove-unexplained", "--yes")
    assert [row["action"] for row in report["differences"]] == ["too young to remove"]
    report = reconcile("common", "--remove-unexplained", "--yes", "--protection-hours", "22")
    assert [row["action"] for row in report["differences"]] == ["removed"]


def test_what_an_upload_in_progress_may_have_made_is_protected(
    acme: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    planted(fake, created_at=int((timezone.now() - timedelta(days=3)).timestamp()))
    uploaded(acme)
    began = timezone.now() - timedelta(days=2, hours=12)
    force(FileCopy.objects, state=CopyState.UNCONFIRMED, remote_id="", created_at=began)
    report = reconcile("common", "--remove-unexplained", "--yes")
    assert {row["action"] for row in report["differences"]} == {"too young to remove"}
    assert len(fake.store("openai")) == 2


def test_another_organizations_file_is_explained(
    acme: Tenant, other: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    other.api.create(b"\x89PNG", "vision", "a.png", account="common")
    openai_account(acme.organization, fake, "own", key="other-key-of-the-same-provider")
    good("reconcile", "common", "--remove-unexplained", "--yes")
    assert len(fake.store("openai")) == 1


def test_a_file_that_the_provider_lost_is_reported_and_marked_when_told_so(
    acme: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    file_id = uploaded(acme)
    fake.remove_file("openai", file_id)
    assert reconcile("common", "--mark-lost")["differences"] == []  # so young that it may not show yet
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        (row,) = reconcile("common")["differences"]
        assert (row["finding"], row["id"], row["organization"]) == ("lost", file_id, "acme")
        (row,) = reconcile("common", "--mark-lost")["differences"]
        assert row["action"].startswith("not yet marked")
    with time_machine.travel(timezone.now() + timedelta(minutes=18)):
        (row,) = reconcile("common", "--mark-lost", "--dry-run")["differences"]
        assert row["action"] == "would be marked as lost"
        assert File.objects.get().state == FileState.AVAILABLE
        good("reconcile", "common", "--mark-lost")
    assert File.objects.get().state == FileState.LOST
    assert counters(acme.organization) == (0, 0, 0)


def test_a_file_that_only_the_list_lacks_is_not_lost(
    acme: Tenant, shared: ProviderAccount, fake: FakeProvider
) -> None:
    uploaded(acme)
    fake.script({"method": "GET", "path": "/files$"}, behaviours.patched({"data": []}))
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert reconcile("common", "--mark-lost")["differences"] == []


def test_a_list_that_breaks_marks_nothing(acme: Tenant, shared: ProviderAccount, fake: FakeProvider) -> None:
    uploaded(acme)
    fake.script({"method": "GET", "path": "/files", "times": None}, behaviours.fail(500))
    report = reconcile("common", "--mark-lost")
    assert report["error"] and report["needs_attention"]
    assert File.objects.get().state == FileState.AVAILABLE


def test_a_file_that_was_deleted_here_and_is_still_there_is_reported(
    acme: Tenant, shared: ProviderAccount
) -> None:
    file_id = uploaded(acme)
    force(FileCopy.objects, state=CopyState.DELETED)
    force(File.objects, state=FileState.DELETED)
    (row,) = reconcile("common", "--remove-unexplained", "--yes")["differences"]
    assert (row["finding"], row["id"], row["action"]) == ("leftover", file_id, "")


def test_in_a_store_only_names_that_the_gateway_gives_are_removed(acme: Tenant) -> None:
    account = acme.accounts["local"]
    root = driver_for(account).root  # type: ignore[attr-defined]
    stray = root / "org-999" / ("file-" + "a" * 26 + ".txt")
    foreign = root / "org-999" / "results" / "out.jsonl"
    for path in stray, foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    actions = {
        row["remote_id"]: row["action"]
        for row in reconcile("acme/local", "--remove-unexplained", "--yes", "--protection-hours", "0")[
            "differences"
        ]
    }
    assert actions[f"org-999/{stray.name}"] == "removed"
    assert actions["org-999/results/out.jsonl"].startswith("not removed")
    assert foreign.exists() and not stray.exists()
