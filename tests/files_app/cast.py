"""Organizations, keys and provider accounts for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from files_app.models import ApiKey, CopyState, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.deletes import delivery
from files_app.services.index.callers import system_caller
from files_app.services.index.recent import recent_organization, recent_rules
from files_app.services.tenants.keys import create_key
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.files_app.client import ApiClient


def make_account(
    organization: Organization | None,
    name: str,
    driver: str,
    *,
    options: Mapping[str, Any],
    credentials: Mapping[str, str] | None = None,
    **fields: Any,
) -> ProviderAccount:
    """Create an account as an operator does; without an organization it is shared."""
    account = ProviderAccount(
        organization=organization, name=name, driver=driver, options=dict(options), **fields
    )
    save_account(account, credentials or {})
    return account


def local_account(organization: Organization | None, name: str = "local", **fields: Any) -> ProviderAccount:
    """Create an account on disk, in a directory of its own."""
    return make_account(organization, name, "local", options={"directory": uuid4().hex}, **fields)


def openai_account(
    organization: Organization | None,
    fake: FakeProvider,
    name: str = "openai",
    *,
    key: str = VALID_KEY,
    base_url: str = "",
    driver: str = "openai",
    **fields: Any,
) -> ProviderAccount:
    """Create an account at the fake provider that never syncs by itself."""
    return make_account(
        organization,
        name,
        driver,
        options={"base_url": base_url or fake.url(driver)},
        credentials={"api_key": key},
        **{"list_freshness_seconds": None, **fields},
    )


@dataclass
class Tenant:
    """An organization and a client with a key of its own."""

    organization: Organization
    key: ApiKey
    api: ApiClient
    accounts: dict[str, ProviderAccount] = field(default_factory=dict)

    def client(
        self, *, scopes: Iterable[str] | None = None, expires_at: datetime | None = None
    ) -> tuple[ApiClient, ApiKey]:
        """Create another key."""
        row, plain = create_key(
            organization=self.organization,
            name=f"key-{uuid4().hex[:8]}",
            caller=system_caller(self.organization.pk),
            scopes=scopes,
            expires_at=expires_at,
        )
        return ApiClient(plain), row

    def fresh(self) -> Organization:
        """Return the organization as the database has it now."""
        self.organization.refresh_from_db()
        return self.organization

    def switch_off_accounts(self) -> None:
        self.organization.provider_accounts.update(is_enabled=False)
        forget_recent_accounts()

    def set_limits(self, **limits: int) -> None:
        Organization.objects.filter(pk=self.organization.pk).update(**limits)
        recent_organization.forget()
        recent_rules.forget()


def make_tenant(name: str, **fields: Any) -> Tenant:
    organization = Organization.objects.create(name=name, **fields)
    row, plain = create_key(organization=organization, name="main", caller=system_caller(organization.pk))
    return Tenant(organization, row, ApiClient(plain))


def deliver_deletes() -> None:
    """Do what the worker does with the deletes that wait."""
    for pk in FileCopy.objects.filter(state=CopyState.DELETING).values_list("pk", flat=True):
        delivery.deliver(pk)


def on_disk(tenant: Tenant) -> list[Path]:
    """Return every file that the tenant's account `local` keeps on disk."""
    driver = driver_for(tenant.accounts["local"])
    root: Path = driver.root  # type: ignore[attr-defined]
    return [path for path in root.rglob("*") if path.is_file()]


def _is_held(row: File) -> bool:
    return row.state == "available" or (row.state == "trashed" and row.is_counted_in_trash)


def counters(organization: Organization) -> tuple[int, int, int]:
    """Return used bytes, reserved bytes and number of files, after checking them against the rows."""
    organization.refresh_from_db()
    rows = list(File.objects.for_organization(organization))
    counted = [row for row in rows if row.is_counted and _is_held(row)]
    assert organization.used_bytes == sum(row.bytes for row in counted)
    assert organization.reserved_bytes == sum(row.reserved_bytes for row in rows)
    assert organization.file_count == len(counted)
    return organization.used_bytes, organization.reserved_bytes, organization.file_count
