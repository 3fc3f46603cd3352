"""Due times: claimed by one, counted as late from when they were due."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from files_app.models import DueTime
from files_app.services.operations import upkeep


@pytest.fixture
def _scheduled(db: None) -> None:
    upkeep.schedule()
    past = timezone.now() - timedelta(seconds=1)
    DueTime.objects.update(due_at=past)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_claims_a_due_time() -> None:
    upkeep.schedule()
    upkeep.schedule()  # as the next worker does
    DueTime.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    together = threading.Barrier(8)

    def claim(_: int) -> bool:
        try:
            together.wait(30)
            return upkeep.claim("prune_records")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1
    assert "prune_records" not in upkeep.due()


@pytest.mark.usefixtures("_scheduled")
def test_what_was_done_is_due_again_after_its_period(settings: Settings) -> None:
    settings.UPKEEP_SECONDS = {**settings.UPKEEP_SECONDS, "expire_files": 0}
    assert set(upkeep.due()) == set(upkeep.UPKEEP)
    assert upkeep.carry_out("prune_records")
    assert not upkeep.carry_out("prune_records")
    assert upkeep.carry_out("expire_files")
    DueTime.objects.filter(name="expire_files").update(due_at=timezone.now() - timedelta(seconds=1))
    assert upkeep.carry_out("expire_files")
    row = DueTime.objects.get(name="prune_records")
    assert row.done_at is not None and row.begun_at is not None and row.done_at >= row.begun_at
    assert row.due_at > timezone.now() + timedelta(minutes=59)


@pytest.mark.usefixtures("_scheduled")
def test_rows_that_are_gone_come_back_and_those_of_no_use_go() -> None:
    DueTime.objects.filter(name="expire_files").delete()
    DueTime.objects.create(name="of-an-earlier-version", due_at=timezone.now() - timedelta(days=9))
    assert "expire_files" not in upkeep.due()
    assert "expire_files" in upkeep.due()
    assert not DueTime.objects.filter(name="of-an-earlier-version").exists()


@pytest.mark.usefixtures("_scheduled")
def test_late_is_measured_from_when_it_was_due() -> None:
    assert upkeep.late() == []
    now = timezone.now()
    DueTime.objects.filter(name="expire_files").update(due_at=now - timedelta(minutes=6))
    DueTime.objects.filter(name="sweep_uploads").update(
        due_at=now + timedelta(seconds=20), begun_at=now - timedelta(minutes=9), done_at=None
    )
    DueTime.objects.filter(name="recount_usage").update(
        due_at=now + timedelta(minutes=50), begun_at=now - timedelta(minutes=10), done_at=now
    )
    late = upkeep.late()
    assert [(each.name, each.has_begun) for each in late] == [
        ("sweep_uploads", True),
        ("expire_files", False),
    ]
    assert late[1].since == now - timedelta(minutes=6)


@pytest.mark.usefixtures("_scheduled")
def test_work_that_fails_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP", {"expire_files": lambda: 1 // 0})
    with pytest.raises(ZeroDivisionError):
        upkeep.carry_out("expire_files")
    assert DueTime.objects.get(name="expire_files").done_at is None
