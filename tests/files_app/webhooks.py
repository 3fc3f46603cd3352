"""For tests of webhooks: a receiver, an endpoint that leads to it, and what was written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from files_app.models import WebhookDelivery, WebhookEndpoint
from files_app.services.index.callers import system_caller
from files_app.services.webhooks import delivery
from files_app.services.webhooks.endpoints import create_endpoint
from tests.files_app.cast import Tenant
from tests.files_app.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def private(settings: Settings) -> Iterator[None]:
    """Let operators' endpoints lead to this host."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    delivery._transport.cache_clear()
    yield
    delivery._transport.cache_clear()


@pytest.fixture
def secret(endpoint: WebhookEndpoint) -> str:
    """What the receiver verifies with."""
    return SECRETS[endpoint.pk]


SECRETS: dict[int, str] = {}


@pytest.fixture
def endpoint(acme: Tenant, receiver: Receiver, private: None) -> WebhookEndpoint:
    """An endpoint of acme that is told everything."""
    return endpoint_of(acme, receiver)


def endpoint_of(
    tenant: Tenant, receiver: Receiver, name: str = "hooks", kinds: list[str] | None = None
) -> WebhookEndpoint:
    """Make an endpoint as an operator's command does."""
    endpoint, plain = create_endpoint(
        tenant.organization,
        name=name,
        url=receiver.url,
        caller=system_caller(tenant.organization.pk),
        is_operators=True,
        **({} if kinds is None else {"kinds": kinds}),
    )
    SECRETS[endpoint.pk] = plain
    return endpoint


def deliver_all() -> None:
    """Try each webhook that waits, once, whenever it is due."""
    WebhookDelivery.objects.filter(state="pending").update(next_attempt_at="2020-01-01T00:00:00Z")
    for pk in WebhookDelivery.objects.filter(state="pending").order_by("pk").values_list("pk", flat=True):
        delivery.deliver(pk)


def kinds() -> list[str]:
    """Return what was written, in order."""
    return list(WebhookDelivery.objects.order_by("pk").values_list("kind", flat=True))
