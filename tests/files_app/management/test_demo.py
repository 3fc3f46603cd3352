"""The demo comes, stays the same, and goes without a trace."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Sum

from files_app.models import (
    AuditEvent,
    CopyState,
    DailyUsage,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
)
from files_app.services.index import usage
from files_app.services.index.metering.storage import settle_usage
from files_app.services.operations.demo import history
from files_app.services.operations.demo.world import ORGANIZATIONS
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good

pytestmark = pytest.mark.django_db(transaction=True)


def everything() -> dict[str, int]:
    """Return how many rows each table has."""
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def stored(settings: Any) -> set[Path]:
    return {path for path in (Path(settings.DATA_DIR) / "files").rglob("*") if path.is_file()}


def test_the_demo_comes_and_goes_without_a_trace(settings: Any) -> None:
    before, files = everything(), stored(settings)
    assert "5 organizations" in good("demo").out
    made = everything()
    assert "5 organizations" in good("demo").out  # once more: nothing changes
    assert everything() == made

    states = Counter(File.objects.values_list("state", flat=True))
    assert all(states[state] > 5 for state in (FileState.AVAILABLE, FileState.FAILED, FileState.DELETED))
    assert FileCopy.objects.filter(state=CopyState.DEAD).exists()
    days = set(AuditEvent.objects.values_list("created_at__date", flat=True))
    assert len(days) > 20
    for organization in Organization.objects.filter(is_demo=True):
        assert usage.recount(organization, dry_run=True).is_clean
        assert organization.used_bytes <= organization.quota_bytes
    assert good("files", "verify", "--account", "acme-research/disk").err == "8 intact\n"
    used = DailyUsage.objects.aggregate(Sum("requests"), Sum("bytes_out"), Sum("byte_hours"))
    assert all(used.values())
    assert DailyUsage.objects.values("day").distinct().count() > 20
    enabled = ProviderAccount.objects.filter(is_enabled=True)
    assert set(enabled.values_list("driver", flat=True)) == {"local"}

    assert "Removed: 5 organizations" in good("demo", "--remove").out
    assert (everything(), stored(settings)) == (before, files)
    assert "no demo" in good("demo", "--remove").out


def test_a_hold_that_somebody_tried_keeps_the_demo_until_it_is_released(settings: Any) -> None:
    before, files = everything(), stored(settings)
    good("demo")
    made = stored(settings)
    account = ("--organization", "acme-research", "--account", "disk")
    hold = good("files", "hold", *account, "--reason", "to see how it is", "--json").json["hold"]
    assert f"Hold {hold} keeps files of acme-research" in failing("demo", "--remove").err
    assert stored(settings) == made  # not a byte of what is held has gone
    good("files", "release", str(hold), "--yes")
    good("demo", "--remove")
    assert (everything(), stored(settings)) == (before, files)


def test_no_account_of_the_demo_reaches_anybody() -> None:
    for account in (account for plan in ORGANIZATIONS for account in plan.accounts):
        address = account.options.get("base_url") or account.options.get("endpoint_url", "")
        assert account.driver == "local" or address.removesuffix("/v1").endswith(".invalid"), account.name


def test_real_data_is_not_mixed_with_the_demo_unasked(acme: Tenant) -> None:
    theirs = acme.api.create(account="local")["id"]
    assert "data of its own" in failing("demo").err
    Organization.objects.create(name=ORGANIZATIONS[0].name, is_demo=True, is_active=False)  # broken off
    good("demo", "--beside-real-data")
    assert Organization.objects.filter(is_demo=True, is_active=True).count() == len(ORGANIZATIONS)
    good("demo", "--remove")
    assert File.objects.get().file_id == theirs
    with pytest.raises(TypeError):
        AuditEvent.objects.forget_demo(acme.organization)


def test_an_organization_of_the_same_name_is_left_alone() -> None:
    Organization.objects.create(name=ORGANIZATIONS[0].name)
    assert "rename it first" in failing("demo", "--beside-real-data").err


def test_a_worker_may_settle_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write = history.write_traffic

    def settled_first(*given: Any) -> None:
        settle_usage()
        write(*given)

    monkeypatch.setattr(history, "write_traffic", settled_first)
    assert "5 organizations" in good("demo").out
