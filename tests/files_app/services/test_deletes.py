"""The outbox of deletes: as often as it takes, one at a time, and visible when it is given up."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import FileNotFoundInIndexError
from files_app.models import AuditEvent, File, FileCopy, Organization, ProviderAccount
from files_app.services.deletes import delivery as deletes
from files_app.services.deletes.delivery import backoff_seconds, deliver, give_up, retry_dead, send_due
from files_app.services.tenants.keys import system_caller
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, make_account
from tests.files_app.forms import expiry_parts, file_part, purpose_part
from tests.processes import wait_until


@pytest.fixture
def copy(remote: Tenant) -> FileCopy:
    """A copy that waits for its delete."""
    file_id = remote.api.create()["id"]
    assert remote.api.delete(f"/files/{file_id}").status == 200
    return FileCopy.objects.get()


def fresh(copy: FileCopy) -> FileCopy:
    copy.refresh_from_db()
    return copy


def test_delivering_twice_deletes_once(copy: FileCopy, fake: FakeProvider) -> None:
    assert deliver(copy.pk) == "deleted"
    assert deliver(copy.pk) is None
    assert [request.method for request in fake.requests].count("DELETE") == 1


def test_a_lease_keeps_a_second_worker_out(copy: FileCopy, fake: FakeProvider) -> None:
    FileCopy.objects.update(lease_token="other", lease_expires_at=timezone.now() + timedelta(minutes=1))
    assert deliver(copy.pk) is None
    FileCopy.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    assert deliver(copy.pk) == "deleted"


def test_a_worker_that_lost_its_lease_writes_nothing(
    copy: FileCopy, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_over(*args: object) -> None:
        FileCopy.objects.update(lease_token="other")

    monkeypatch.setattr("providers.openai_compatible.OpenAICompatibleDriver._delete_file", taken_over)
    assert deliver(copy.pk) is None
    assert fresh(copy).state == "deleting"


def test_waits_double_up_to_an_hour_and_begin_within_five_seconds() -> None:
    assert all(backoff_seconds(1) <= 5 for _ in range(100))
    assert all(4.8 <= backoff_seconds(2) <= 7.2 for _ in range(100))
    assert all(2_880 <= backoff_seconds(50) <= 4_320 for _ in range(100))
    full_day = sum(min(deletes.MAX_RETRY_SECONDS, 0.8 * 3 * 2.0**n) for n in range(30))
    assert full_day > deletes.GIVE_UP_AFTER.total_seconds() / 2


def test_after_a_day_it_is_given_up_and_an_operator_may_try_again(copy: FileCopy, fake: FakeProvider) -> None:
    fake.script({"method": "DELETE", "times": 2}, behaviours.fail(500))
    assert deliver(copy.pk) == "deleting"
    with time_machine.travel(timezone.now() + timedelta(hours=27)):
        assert deliver(copy.pk) == "dead"
    assert AuditEvent.objects.filter(action="file.delete", result="dead").count() == 1
    assert len(fake.store("openai")) == 1
    assert deliver(copy.pk) is None
    assert retry_dead(fresh(copy), caller=system_caller())
    assert deliver(copy.pk) == "deleted"
    assert fake.store("openai") == []


def test_a_mistake_in_a_driver_is_given_up_in_the_end(
    copy: FileCopy, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*args: object) -> None:
        raise AttributeError("secret of the provider")

    monkeypatch.setattr("providers.openai_compatible.OpenAICompatibleDriver._delete_file", mistaken)
    assert deliver(copy.pk) == "deleting"
    assert "AttributeError" in fresh(copy).last_error
    assert "secret" not in fresh(copy).last_error
    with time_machine.travel(timezone.now() + timedelta(hours=27)):
        assert deliver(copy.pk) == "dead"


def test_giving_up_by_hand_ends_the_waiting(copy: FileCopy, fake: FakeProvider) -> None:
    assert give_up(copy, caller=system_caller(), reason="account closed")
    assert (fresh(copy).state, File.objects.get().state) == ("deleted", "deleted")
    assert not give_up(copy, caller=system_caller(), reason="again")
    assert deliver(copy.pk) is None


@pytest.mark.parametrize("retry_after", ["30", "100000"])
def test_the_provider_says_when_to_come_again(copy: FileCopy, fake: FakeProvider, retry_after: str) -> None:
    fake.script({"method": "DELETE"}, behaviours.fail(429, retry_after=retry_after))
    before = timezone.now()
    assert deliver(copy.pk) == "deleting"
    due = fresh(copy).next_attempt_at
    assert due is not None
    assert 29 <= (due - before).total_seconds() <= deletes.MAX_RETRY_SECONDS + 5


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


def test_old_messages_do_not_cut_a_wait_short(copy: FileCopy, fake: FakeProvider) -> None:
    fake.script({"method": "DELETE", "times": None}, behaviours.fail(429, retry_after="600"))
    for _ in range(20):  # what a worker finds that was away for twenty minutes
        deliver(copy.pk)
    assert [request.method for request in fake.requests].count("DELETE") == 1
    assert fresh(copy).attempts == 1


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
    claimed = deletes._claim(copy.pk)  # a worker has begun
    assert claimed is not None
    assert other.api.upload(parts=parts, account="together").status == 503
    assert counters(other.organization) == (0, 0, 0)
    FileCopy.objects.filter(pk=copy.pk).update(lease_expires_at=None)
    assert deliver(copy.pk) == "deleted"
    assert other.api.create(parts=parts, account="together")["id"] != file_id
    assert len(fake.store("together")) == 1


def test_what_the_broker_lost_is_sent_again(copy: FileCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(deletes, "publish", sent.append)
    assert send_due() == 1
    assert send_due() == 0  # it is on its way
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        FileCopy.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=3))
        assert send_due() == 1
    assert sent == [copy.pk, copy.pk]


def test_a_broker_that_is_away_keeps_everything_due(copy: FileCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pk: int) -> None:
        raise BrokerError("away")

    monkeypatch.setattr(deletes, "_broker", deletes._BrokerPause())
    monkeypatch.setattr(deletes, "publish", fail)
    assert send_due() == 0
    monkeypatch.setattr(deletes, "_broker", deletes._BrokerPause())
    monkeypatch.setattr(deletes, "publish", lambda pk: None)
    # The database's clock, in which it is due, has milliseconds.
    wait_until(lambda: send_due() == 1, seconds=5, what="the delete to be due")


def test_of_two_deletes_at_once_one_finds_nothing(acme: Tenant) -> None:
    acme.api.create()
    seen_by_both = [File.objects.get(), File.objects.get()]
    deletes.delete_file(seen_by_both[0], caller=system_caller())
    with pytest.raises(FileNotFoundInIndexError):
        deletes.delete_file(seen_by_both[1], caller=system_caller())
    assert counters(acme.organization) == (0, 0, 0)
    assert AuditEvent.objects.filter(action="file.delete").count() == 1
