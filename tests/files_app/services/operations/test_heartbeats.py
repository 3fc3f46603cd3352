"""What running processes say of the credentials that they cannot read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from files_app.models import Heartbeat, Organization
from files_app.services.operations import cleanup, heartbeats
from tests.files_app.cast import Tenant, make_account

pytestmark = pytest.mark.django_db

VARIABLE, REFERENCE = "TEST_PROVIDER_KEY", "env:TEST_PROVIDER_KEY"


def refer(organization: Organization, reference: str = REFERENCE, name: str = "openai") -> None:
    make_account(organization, name, "openai", options={}, credentials={"api_key": reference})


def test_a_variable_that_a_server_lacks_is_named_as_soon_as_an_account_wants_it(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    heartbeats.beat(heartbeats.WEB)
    monkeypatch.setenv(VARIABLE, "value-of-the-shell")
    heartbeats.beat(heartbeats.WORKER)
    refer(acme.organization)
    (lack,) = heartbeats.lacks()
    assert (lack.process.partition("@")[0], lack.references) == ("web", [REFERENCE])
    assert heartbeats.lacks(["acme/openai"]) == [lack]
    assert heartbeats.lacks(["acme/local"]) == []
    assert "value-of-the-shell" not in str(list(Heartbeat.objects.values()))


def test_a_file_is_looked_for_by_each_process(acme: Tenant, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("value")
    refer(acme.organization, f"file:{secret}")
    secret.unlink()
    heartbeats.beat(heartbeats.WEB)
    (lack,) = heartbeats.lacks()
    assert lack.references == [f"file:{secret}"]


def test_a_process_that_is_gone_lacks_nothing(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeats.beat(heartbeats.WEB)
    monkeypatch.setenv(VARIABLE, "value")
    refer(acme.organization)
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert heartbeats.lacks() == []
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(days=2))
    cleanup.prune_records()
    assert not Heartbeat.objects.exists()


def test_a_worker_of_the_last_version_counts_as_alive() -> None:
    Heartbeat.objects.create(name="worker", seen_at=timezone.now())
    assert heartbeats.is_alive(heartbeats.last_seen())
    assert heartbeats.last_seen(heartbeats.WEB) is None
