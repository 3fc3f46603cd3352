"""`Idempotency-Key` on uploads"""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from files_app.models import File, FileCopy, IdempotencyRecord
from files_app.services.index import transactions
from files_app.services.operations.cleanup import sweep_uploads
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters
from tests.files_app.client import Reply, breaking, with_side_effect
from tests.files_app.forms import encode, expiry_parts, file_part, purpose_part
from tests.files_app.rows import force

KEY = {"Idempotency-Key": "k-1"}
FORM = encode([purpose_part(), file_part(b"hello" * 20)])


def test_a_repetition_gets_the_same_answer_without_a_provider_call(
    remote: Tenant, fake: FakeProvider
) -> None:
    first = remote.api.upload(headers=KEY)
    again = remote.api.upload(headers=KEY)
    assert first.status == again.status == 200
    assert first.json() == again.json()
    assert len(fake.requests) == 1
    assert counters(remote.organization) == (5, 0, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"content": b"hellO"},
        {"filename": "b.txt"},
        {"purpose": "vision"},
        {"account": "local"},
        {"headers": {**KEY, "x-tfy-metadata": '{"a": "b"}'}},
        {"parts": [purpose_part(), *expiry_parts(), file_part()]},
    ],
)
def test_the_key_of_another_request_is_refused(
    remote: Tenant, fake: FakeProvider, changed: dict[str, object]
) -> None:
    remote.api.upload(headers=KEY)
    reply = remote.api.upload(**{"headers": KEY, **changed})  # type: ignore[arg-type]  # keywords of `upload`
    assert (reply.status, reply.error["code"]) == (422, "idempotency_key_reused")
    assert reply.error["param"] == "Idempotency-Key"
    assert len(fake.requests) == 1
    assert counters(remote.organization) == (5, 0, 1)


def test_the_order_of_the_fields_is_not_another_request(acme: Tenant) -> None:
    first = acme.api.upload(parts=[purpose_part(), file_part()], headers=KEY)
    assert acme.api.upload(parts=[file_part(), purpose_part()], headers=KEY).json() == first.json()


def test_a_request_that_is_still_running_is_a_conflict(acme: Tenant) -> None:
    inner: list[Reply] = []
    body = with_side_effect(FORM, 100, lambda: inner.append(acme.api.upload_body(FORM, headers=KEY)))
    outer = acme.api.upload_body(body, length=len(FORM), headers=KEY)
    assert (outer.status, inner[0].status) == (200, 409)
    assert inner[0].error["code"] == "idempotency_key_in_use"
    assert 0 < int(inner[0].headers["Retry-After"]) <= 120
    assert counters(acme.organization) == (100, 0, 1)


def test_after_a_day_the_key_is_new(acme: Tenant) -> None:
    first = acme.api.create(headers=KEY)
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        assert acme.api.create(headers=KEY) == first
        assert acme.api.upload(b"other", headers=KEY).status == 422
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        assert acme.api.create(b"other", headers=KEY)["id"] != first["id"]


def test_the_key_of_another_organization_is_another_key(acme: Tenant, other: Tenant) -> None:
    assert acme.api.create(headers=KEY)["id"] != other.api.create(b"other", headers=KEY)["id"]
    assert IdempotencyRecord.objects.count() == 2


def test_other_keys_of_the_organization_share_it(acme: Tenant) -> None:
    first = acme.api.create(headers=KEY)
    assert acme.client()[0].create(headers=KEY) == first


def test_a_failed_upload_frees_the_key(remote: Tenant, fake: FakeProvider) -> None:
    fake.script({"method": "POST"}, behaviours.fail(500))
    assert remote.api.upload(headers=KEY).status == 502
    assert remote.api.upload(b"", headers=KEY).status == 400
    broken = remote.api.upload_body(breaking(FORM, after=50, silently=True), length=len(FORM), headers=KEY)
    assert broken.status == 400
    assert not IdempotencyRecord.objects.exists()
    assert remote.api.upload(b"corrected", headers=KEY).status == 200
    assert len(fake.store("openai")) == 1


def test_a_broken_repetition_is_no_answer(acme: Tenant) -> None:
    acme.api.upload_body(FORM, headers=KEY)
    again = acme.api.upload_body(breaking(FORM, after=90, silently=True), length=len(FORM), headers=KEY)
    assert (again.status, again.error["code"]) == (400, "incomplete_body")
    assert acme.api.upload_body(FORM, headers=KEY).status == 200


def test_the_sdks_own_counter_does_not_matter_beside_a_key(acme: Tenant) -> None:
    first = acme.api.create()
    second = acme.api.create(headers={**KEY, "x-stainless-retry-count": "1"})
    assert second["id"] != first["id"]


def crashed(acme: Tenant) -> File:
    """Leave what a process leaves that was killed in mid-upload."""
    acme.api.create(headers=KEY)
    IdempotencyRecord.objects.update(response=None, fingerprint="")
    until = timezone.now() + timedelta(minutes=1)
    force(File.objects, state="uploading", lease_token="gone", lease_expires_at=until)
    force(FileCopy.objects, state="uploading")
    return File.objects.get()


def test_a_crash_holds_the_key_as_long_as_its_upload(acme: Tenant) -> None:
    file = crashed(acme)
    assert acme.api.upload(headers=KEY).status == 409
    File.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    again = acme.api.create(headers=KEY)
    assert again["id"] != file.file_id
    assert acme.api.create(headers=KEY) == again
    file.refresh_from_db()
    assert (file.state, file.lease_token) == ("failed", "")  # so that it cannot be settled any more


def test_the_key_of_an_upload_that_the_sweeper_gave_up_is_free(acme: Tenant) -> None:
    crashed(acme)
    File.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sweep_uploads()
    assert acme.api.upload(headers=KEY).status == 200


def test_a_crash_before_the_upload_began_holds_the_key_for_a_minute(acme: Tenant) -> None:
    IdempotencyRecord.objects.create(
        organization=acme.organization,
        key="k-1",
        token="gone",
        lease_expires_at=timezone.now() + timedelta(minutes=1),
    )
    assert acme.api.upload(headers=KEY).status == 409
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert acme.api.upload(headers=KEY).status == 200


def test_of_two_uploads_with_one_key_only_the_holder_can_settle(acme: Tenant) -> None:
    """The first one was taken for dead while it was only slow."""
    inner: list[Reply] = []

    def take_over() -> None:
        File.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        inner.append(acme.api.upload_body(FORM, headers=KEY))

    body = with_side_effect(FORM, 100, take_over)
    outer = acme.api.upload_body(body, length=None, headers=KEY)
    assert (inner[0].status, outer.status) == (200, 503)
    assert counters(acme.organization) == (100, 0, 1)
    assert acme.api.upload_body(FORM, headers=KEY).json() == inner[0].json()


def test_a_small_body_that_takes_longer_than_its_claim_leaves_the_key_to_the_next(acme: Tenant) -> None:
    inner: list[Reply] = []

    def take_over() -> None:
        IdempotencyRecord.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        inner.append(acme.api.upload_body(FORM, headers=KEY))

    body = with_side_effect(FORM, 100, take_over)
    outer = acme.api.upload_body(body, length=len(FORM), headers=KEY)
    assert (inner[0].status, outer.status) == (200, 409)
    assert counters(acme.organization) == (100, 0, 1)
    assert acme.api.upload_body(FORM, headers=KEY).json() == inner[0].json()


def test_a_file_without_its_key_written_down_does_not_exist(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a repetition would store it twice."""

    def update(rows: QuerySet[IdempotencyRecord], **values: object) -> int:
        if rows.model is IdempotencyRecord and "response" in values:
            raise OperationalError("the database is away")
        return original(rows, **values)

    original = QuerySet.update
    monkeypatch.setattr(transactions, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(QuerySet, "update", update)
    assert acme.api.upload(headers=KEY).status == 503
    assert counters(acme.organization) == (0, 0, 0)
    monkeypatch.undo()
    assert acme.api.upload(headers=KEY).status == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb", "a\x7f"])
def test_a_key_that_cannot_be_kept_is_refused(acme: Tenant, key: str) -> None:
    reply = acme.api.upload(headers={"Idempotency-Key": key})
    assert (reply.status, reply.error["param"]) == (400, "Idempotency-Key")
    assert not File.objects.exists()


def test_the_longest_key_is_kept(acme: Tenant) -> None:
    headers = {"Idempotency-Key": "~" * 255}
    assert acme.api.create(headers=headers) == acme.api.create(headers=headers)
