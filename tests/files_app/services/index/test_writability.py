"""A database that can be read and not be written, as a standby before or after a failover."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from files_app.models import ApiKey
from files_app.services.tenants import keys
from tests.files_app.cast import Tenant, local_account, make_tenant
from tests.files_app.pooled import other_database

READ_ONLY = "?options=-c%20default_transaction_read_only%3Don"


@pytest.fixture
def url(gateway_postgresql_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock():
        yield gateway_postgresql_url


def test_files_are_read_and_changes_may_be_tried_again(url: str) -> None:
    with other_database(url):
        tenant: Tenant = make_tenant("acme")
        local_account(tenant.organization, is_default=True)
        kept = tenant.api.create(b"kept", "evals")["id"]
        ApiKey.objects.update(last_used_at=None)  # the next request would note the time
        keys.forget_cached_keys()
    with other_database(url + READ_ONLY):
        assert tenant.api.get(f"/files/{kept}").status == 200
        assert tenant.api.get(f"/files/{kept}/content").body == b"kept"
        for refused in (tenant.api.upload(b"new", "evals"), tenant.api.delete(f"/files/{kept}")):
            assert (refused.status, refused.error["code"]) == (503, "database_unavailable")
            assert "Retry-After" in refused.headers
    with other_database(url):
        assert tenant.api.delete(f"/files/{kept}").status == 200
