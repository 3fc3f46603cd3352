"""Two organizations that must never see each other's files, and the fake provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings

from files_app.observability import context, logs
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, local_account, make_tenant, openai_account


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """A provider of the test's own: a request that an earlier test broke off may still be arriving."""
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def acme(db: None) -> Tenant:
    """An organization whose default account is on disk."""
    tenant = make_tenant("acme")
    tenant.accounts["local"] = local_account(tenant.organization, is_default=True)
    return tenant


@pytest.fixture
def other(db: None) -> Tenant:
    """Another organization, with a disk of its own."""
    tenant = make_tenant("other")
    tenant.accounts["local"] = local_account(tenant.organization, is_default=True)
    return tenant


@pytest.fixture
def remote(acme: Tenant, fake: FakeProvider) -> Tenant:
    """The organization acme with an account at the fake OpenAI, which serves by default."""
    account = acme.accounts["local"]
    account.is_default = False
    account.save(update_fields=["is_default"])
    acme.accounts["openai"] = openai_account(acme.organization, fake, is_default=True)
    return acme


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what a test configures, and forget the request it pretended to be in."""
    yield
    logs.configure(settings.LOGGING)
    structlog.contextvars.clear_contextvars()
    context.forget()
