"""The outbox: what waits is sent again until it is done, and ends when somebody says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import FileNotFoundInIndexError
from files_app.models import AuditEvent, File, FileCopy
from files_app.services.deletes import outbox
from files_app.services.deletes.delivery import deliver
from files_app.services.deletes.outbox import give_up, send_due
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


def test_what_the_broker_lost_is_sent_again(copy: FileCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(outbox, "publish", sent.append)
    assert send_due() == 1
    assert send_due() == 0  # it is on its way
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        FileCopy.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=3))
        assert send_due() == 1
    assert sent == [copy.pk, copy.pk]


def test_a_broker_that_is_away_keeps_everything_due(copy: FileCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pk: int) -> None:
        raise BrokerError("away")

    monkeypatch.setattr(outbox, "_broker", outbox._BrokerPause())
    monkeypatch.setattr(outbox, "publish", fail)
    assert send_due() == 0
    monkeypatch.setattr(outbox, "_broker", outbox._BrokerPause())
    monkeypatch.setattr(outbox, "publish", lambda pk: None)
    # The database's clock, in which it is due, has milliseconds.
    wait_until(lambda: send_due() == 1, seconds=5, what="the delete to be due")


def test_of_two_deletes_at_once_one_finds_nothing(acme: Tenant) -> None:
    acme.api.create()
    seen_by_both = [File.objects.get(), File.objects.get()]
    outbox.delete_file(seen_by_both[0], caller=system_caller())
    with pytest.raises(FileNotFoundInIndexError):
        outbox.delete_file(seen_by_both[1], caller=system_caller())
    assert counters(acme.organization) == (0, 0, 0)
    assert AuditEvent.objects.filter(action="file.delete").count() == 1
