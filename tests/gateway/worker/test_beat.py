"""Beat: what hangs or fails keeps nothing else from being begun, and shows in the signs of life."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from files_app.models import DueTime
from files_app.services.operations import upkeep
from gateway.worker import beat as beat_module
from gateway.worker import signs
from gateway.worker.beat import Beat
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat_module, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(signs, "_watched", {})


@pytest.fixture
def beat() -> Iterator[Beat]:
    beat = Beat()
    yield beat
    beat.stop()
    wait_until(lambda: not beat.is_running, seconds=10, what="beat to end")


def due_again(name: str) -> None:
    DueTime.objects.filter(name=name).update(due_at=timezone.now() - timedelta(seconds=1))


def replace(monkeypatch: pytest.MonkeyPatch, **works: Callable[[], object]) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP", works)


def test_upkeep_that_hangs_keeps_no_other_from_its_time(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, hangs, done = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def hang() -> None:
        hangs.release()
        let_go.wait(30)

    replace(monkeypatch, sweep_uploads=hang, expire_files=done.release)
    beat.start()
    assert hangs.acquire(timeout=10)
    for _ in range(3):
        assert done.acquire(timeout=10)
        due_again("expire_files")
        due_again("sweep_uploads")  # another worker may begin it; this one is at it
    assert not hangs.acquire(timeout=0.2)
    signs.watch("upkeep", beat.longest_seconds, at_most_seconds=0.1)
    assert signs.standing() == ["upkeep"]
    assert not signs.is_well()
    let_go.set()
    assert hangs.acquire(timeout=10)
    wait_until(signs.is_well, seconds=10, what="what hung to end")


def test_a_database_that_is_away_and_a_mistake_end_no_beat(
    beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [OperationalError("away"), ValueError("a mistake")]
    done = threading.Event()

    def fail_first() -> None:
        if failures:
            raise failures.pop()
        done.set()

    replace(monkeypatch, expire_files=fail_first)
    beat.start()
    for _ in range(2):
        before = len(failures)
        wait_until(lambda before=before: len(failures) < before, seconds=10, what="a failure")
        due_again("expire_files")
    assert done.wait(10)


def test_a_beat_that_stands_is_seen(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, let_go = threading.Event(), threading.Event()
    signs.watch("beat", beat.silent_seconds, at_most_seconds=0.5)

    def look() -> list[str]:
        stuck.set()
        let_go.wait(30)
        return []

    monkeypatch.setattr(upkeep, "due", look)
    beat.start()
    assert stuck.wait(10)
    wait_until(lambda: signs.standing() == ["beat"], seconds=10, what="beat to be missed")
    let_go.set()
    monkeypatch.setattr(upkeep, "due", list)
    wait_until(signs.is_well, seconds=10, what="beat to be seen again")
