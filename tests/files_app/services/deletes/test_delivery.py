"""Deliveries of deletes: as often as it takes, one at a time, and visible when it is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from files_app.models import AuditEvent, FileCopy
from files_app.services.deletes import delivery
from files_app.services.deletes.delivery import backoff_seconds, deliver
from files_app.services.deletes.outbox import retry_dead
from files_app.services.index.callers import system_caller
from tests.fake_provider import Behaviour, FakeProvider, behaviours


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
    full_day = sum(min(delivery.MAX_RETRY_SECONDS, 0.8 * 3 * 2.0**n) for n in range(30))
    assert full_day > delivery.GIVE_UP_AFTER.total_seconds() / 2


@pytest.mark.parametrize(
    "answer",
    [
        behaviours.fail(500),
        behaviours.fail(429, retry_after="1"),
        behaviours.fail(409),
        behaviours.fail(423),
        behaviours.drop(),
        behaviours.store_then_drop(),
        behaviours.html(),
        behaviours.not_deleted("file-x"),
    ],
    ids=["500", "429", "409", "423", "dropped", "done and dropped", "html", "deleted: false"],
)
def test_whatever_fails_is_tried_again(copy: FileCopy, fake: FakeProvider, answer: Behaviour) -> None:
    fake.script({"method": "DELETE"}, answer)
    before = timezone.now()
    assert deliver(copy.pk) == "deleting"
    put_off = fresh(copy)
    assert (put_off.attempts, bool(put_off.last_error)) == (1, True)
    assert put_off.next_attempt_at is not None
    assert put_off.next_attempt_at > before
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):  # now a 404 is a success
        assert deliver(copy.pk) == "deleted"
    assert fake.store("openai") == []


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


@pytest.mark.parametrize("retry_after", ["30", "100000"])
def test_the_provider_says_when_to_come_again(copy: FileCopy, fake: FakeProvider, retry_after: str) -> None:
    fake.script({"method": "DELETE"}, behaviours.fail(429, retry_after=retry_after))
    before = timezone.now()
    assert deliver(copy.pk) == "deleting"
    due = fresh(copy).next_attempt_at
    assert due is not None
    assert 29 <= (due - before).total_seconds() <= delivery.MAX_RETRY_SECONDS + 5


def test_old_messages_do_not_cut_a_wait_short(copy: FileCopy, fake: FakeProvider) -> None:
    fake.script({"method": "DELETE", "times": None}, behaviours.fail(429, retry_after="600"))
    for _ in range(20):  # what a worker finds that was away for twenty minutes
        deliver(copy.pk)
    assert [request.method for request in fake.requests].count("DELETE") == 1
    assert fresh(copy).attempts == 1
