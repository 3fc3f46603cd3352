"""The outbox: what waits is sent again until it is done, and ends when somebody says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import FileNotFoundInIndexError
from files_app.models import AuditEvent, File, FileCopy
from files_app.services.deletes import outbox, queue
from files_app.services.deletes.delivery import deliver
from files_app.services.deletes.outbox import give_up
from files_app.services.index import broker
from files_app.services.index.callers import system_caller
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters
from tests.processes import wait_until


def test_giving_up_by_hand_ends_the_waiting(copy: FileCopy, fake: FakeProvider) -> None:
    assert give_up(copy, caller=system_caller(), reason="account closed")
    copy.refresh_from_db()
    assert (copy.state, File.objects.get().state) == ("deleted", "deleted")
    assert not give_up(copy, caller=system_caller(), reason="again")
    assert deliver(copy.pk) is None


def test_a_broker_that_is_away_delays_nothing_but_the_hint(
    copy: FileCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise BrokerError("away")

    monkeypatch.setattr(broker, "_pause", broker._Pause())
    monkeypatch.setattr(current_app, "send_task", fail)
    assert not outbox.send(copy)
    # The database's clock, in which it is due, has milliseconds.
    wait_until(lambda: queue.deliver_due() == 1, seconds=5, what="the delete to be due")
    copy.refresh_from_db()
    assert copy.state == "deleted"


def test_a_hint_delivers_its_own_delete_first_and_then_what_else_is_due(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        acme.api.delete(f"/files/{acme.api.create()['id']}")
    later = timezone.now() + timedelta(hours=1)
    pks = list(FileCopy.objects.order_by("pk").values_list("pk", flat=True))
    FileCopy.objects.filter(pk=pks[0]).update(next_attempt_at=later)
    FileCopy.objects.exclude(pk=pks[0]).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    delivered: list[int] = []
    deliver_one = queue.deliver
    monkeypatch.setattr(queue, "deliver", lambda pk: delivered.append(pk) or deliver_one(pk))
    queue.deliver_soon(pks[2], acme.accounts["local"].pk)
    assert delivered == [pks[2], pks[1]]  # the one whose time has not come waits
    queue.deliver_soon(pks[2])  # as an earlier version asks, and twice
    assert delivered == [pks[2], pks[1]]


def test_of_two_deletes_at_once_one_finds_nothing(acme: Tenant) -> None:
    acme.api.create()
    seen_by_both = [File.objects.get(), File.objects.get()]
    outbox.delete_file(seen_by_both[0], caller=system_caller())
    with pytest.raises(FileNotFoundInIndexError):
        outbox.delete_file(seen_by_both[1], caller=system_caller())
    assert counters(acme.organization) == (0, 0, 0)
    assert AuditEvent.objects.filter(action="file.delete").count() == 1
