"""Files that were made elsewhere, and the sync that finds them."""

from __future__ import annotations

from datetime import timedelta

import time_machine
from django.utils import timezone

from files_app.models import ProviderAccount
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant


def planted(fake: FakeProvider, name: str = "result.jsonl", **kwargs: object) -> str:
    """Put a file at the provider that no upload of ours explains."""
    values = {"purpose": "batch_output", "content": b"made elsewhere", "created_at": 1_700_000_000}
    return fake.add_file("openai", filename=name, **{**values, **kwargs}).remote_id  # type: ignore[arg-type]


def sync(tenant: Tenant, name: str = "openai") -> ProviderAccount:
    account = ProviderAccount.objects.get(organization=tenant.organization, name=name)
    report = sync_account(account)
    assert report is not None
    return account


def sync_after(tenant: Tenant, minutes: float) -> None:
    """Sync so many minutes from now, by the gateway's clock."""
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        sync(tenant)


def lose(tenant: Tenant) -> None:
    """Sync until files that the provider lacks are lost: when they are old enough, and once more."""
    sync_after(tenant, 16)
    sync_after(tenant, 18)


def ids(tenant: Tenant) -> list[str]:
    return [file["id"] for file in tenant.api.listed()["data"]]
