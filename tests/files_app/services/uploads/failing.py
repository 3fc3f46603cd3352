"""Uploads that a provider fails, and what must hold after any failure."""

from __future__ import annotations

from files_app.models import File
from files_app.services.upstream.lost_answers import search_unconfirmed
from tests.fake_provider import Behaviour, FakeProvider
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.client import Reply

CONTENT = b"x" * 300_000


def failed_upload(tenant: Tenant, fake: FakeProvider, behaviour: Behaviour) -> Reply:
    """Upload while the provider misbehaves once, and check what must hold after any failure."""
    fake.script({"method": "POST"}, behaviour)
    reply = tenant.api.upload(CONTENT)
    assert reply.status != 200
    assert reply.error["message"]
    fake.wait_until_idle()
    assert counters(tenant.organization) == (0, 0, 0)
    assert File.objects.get().state == "failed"
    assert tenant.api.listed()["data"] == []
    assert [request.method for request in fake.requests] == ["POST"]  # an upload is never sent twice
    return reply


def heal() -> None:
    """Do what a worker does, once the provider works again."""
    search_unconfirmed()
    deliver_deletes()
