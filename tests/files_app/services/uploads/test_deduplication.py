"""Providers that keep the same bytes once: one remote file behind several of ours."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.exceptions import ConflictError
from files_app.models import File, FileCopy, Organization, ProviderAccount
from files_app.services.deletes import delivery, purging, trash
from files_app.services.deletes.delivery import deliver
from files_app.services.index.callers import system_caller
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.files_app.cast import Tenant, counters, deliver_deletes, make_account
from tests.files_app.forms import expiry_parts, file_part, purpose_part


def at_together(organization: Organization | None, fake: FakeProvider, name: str) -> ProviderAccount:
    """Create an account at a provider where the same bytes are one file."""
    return make_account(
        organization,
        name,
        "together",
        options={"base_url": fake.url("together")},
        credentials={"api_key": VALID_KEY},
        list_freshness_seconds=None,
    )


def batch_file() -> bytes:
    """Return bytes that Together takes by checksum, and so only once."""
    lines = ({"custom_id": str(number), "body": {"input": "x" * 1_000_000}} for number in range(9))
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def test_bytes_that_another_organization_has_there_already_are_evidence(
    acme: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    at_together(acme.organization, fake, "together")
    with fake.second_address() as root:
        make_account(
            other.organization,
            "together",
            "together",
            options={"base_url": f"{root}/together"},
            credentials={"api_key": VALID_KEY},
        )
        for tenant in (acme, other):
            file = tenant.api.create(batch_file(), account="together", purpose="batch", filename="a.jsonl")
            assert tenant.api.get(f"/files/{file['id']}").status == 200
    shared = ProviderAccount.objects.get(shared_since__isnull=False)
    assert (shared.organization, shared.shared_reason) == (other.organization, "evidence")


@pytest.mark.parametrize("is_shared", [True, False], ids=["one shared account", "two accounts"])
def test_a_shared_remote_file_goes_with_its_last_holder(
    acme: Tenant, other: Tenant, fake: FakeProvider, is_shared: bool
) -> None:
    if is_shared:
        at_together(None, fake, "together")
    else:
        at_together(acme.organization, fake, "together")
        at_together(other.organization, fake, "together")
    ids = {
        tenant.api.create(batch_file(), account="together", purpose="batch", filename="a.jsonl")["id"]
        for tenant in (acme, other)
    }
    assert len(ids) == 1
    for tenant in acme, other:
        assert len(fake.store("together")) == 1
        assert other.api.get(f"/files/{next(iter(ids))}").status == 200
        assert tenant.api.delete(f"/files/{next(iter(ids))}").status == 200
        deliver_deletes()
    assert fake.store("together") == []


def test_the_same_bytes_twice_are_one_file_of_the_organization(acme: Tenant, fake: FakeProvider) -> None:
    at_together(acme.organization, fake, "together")
    parts = [purpose_part("batch"), *expiry_parts(), file_part(batch_file(), "a.jsonl")]
    first = acme.api.create(parts=parts, account="together")
    second = acme.api.create(batch_file(), account="together", purpose="batch", filename="b.jsonl")
    assert second == {**first, "expires_at": None}  # the longer life of the two
    assert acme.api.get(f"/files/{first['id']}").json() == second
    assert counters(acme.organization) == (len(batch_file()), 0, 1)
    assert acme.api.delete(f"/files/{first['id']}").status == 200
    assert acme.api.get(f"/files/{first['id']}").status == 404
    deliver_deletes()
    assert fake.store("together") == []


def test_a_file_that_was_there_before_has_the_time_of_this_upload(
    acme: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    at_together(None, fake, "together")
    parts = [purpose_part("batch"), *expiry_parts(), file_part(batch_file(), "a.jsonl")]
    with time_machine.travel(timezone.now() - timedelta(days=1)):
        acme.api.create(parts=parts, account="together")
    file = other.api.create(parts=parts, account="together")
    assert abs(file["created_at"] - time.time()) < 60
    assert other.api.get(f"/files/{file['id']}").status == 200


def test_an_upload_does_not_count_on_a_file_that_is_being_deleted(
    acme: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    at_together(None, fake, "together")
    parts = [purpose_part("batch"), file_part(batch_file(), "a.jsonl")]
    file_id = acme.api.create(parts=parts, account="together")["id"]
    assert acme.api.delete(f"/files/{file_id}").status == 200
    copy = FileCopy.objects.get(remote_id=file_id)
    claimed = delivery._claim(copy.pk)  # a worker has begun
    assert claimed is not None
    assert other.api.upload(parts=parts, account="together").status == 503
    assert counters(other.organization) == (0, 0, 0)
    FileCopy.objects.filter(pk=copy.pk).update(lease_expires_at=None)
    assert deliver(copy.pk) == "deleted"
    assert other.api.create(parts=parts, account="together")["id"] != file_id
    assert len(fake.store("together")) == 1


def test_what_comes_again_stands_for_what_is_in_the_trash(acme: Tenant, fake: FakeProvider) -> None:
    acme.set_limits(trash_days=7)
    at_together(acme.organization, fake, "together")
    upload = {"content": batch_file(), "purpose": "batch", "filename": "a.jsonl", "account": "together"}
    file_id = acme.api.create(**upload)["id"]
    acme.api.delete(f"/files/{file_id}")
    trashed = File.objects.get()
    assert acme.api.create(**upload)["id"] == file_id
    caller = system_caller(acme.organization.pk)
    with pytest.raises(ConflictError):
        trash.restore(trashed, caller=caller)
    purging.purge(trashed, caller=caller)
    deliver_deletes()
    assert [stored.remote_id for stored in fake.store("together")] == [file_id]
    assert acme.api.get(f"/files/{file_id}").status == 200
