"""Shares of a worker's threads: an account that hangs holds its own, and what is done is done in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from files_app.services.accounts import lanes
from files_app.services.accounts.lanes import Lane, Work
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)  # each job's thread looks after its connection

SLOW, OTHER, THIRD = 1, 2, 3


class Hanging:
    """Jobs that go on until they are let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self) -> bool:
        self.begun.release()
        self.gate.wait(30)
        return False

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=10)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.gate.set()


@pytest.fixture
def open_lane() -> Iterator[Callable[[int], Lane]]:
    opened: list[Lane] = []

    def make(threads: int) -> Lane:
        opened.append(Lane(threads))
        opened[-1].start()
        return opened[-1]

    yield make
    for lane in opened:
        lane.close(0)


def offered(lane: Lane, work: Work, account: int, job: Callable[[], bool], times: int) -> int:
    return sum(lane.offer(work, account, job) for _ in range(times))


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (4, 1), (8, 1), (16, 3), (64, 15)])
def test_deletes_of_one_account_hold_less_than_a_quarter_of_the_threads(
    open_lane: Callable[[int], Lane], hanging: Hanging, threads: int, share: int
) -> None:
    lane = open_lane(threads)
    assert offered(lane, Work.DELETES, SLOW, hanging, 60) == share
    hanging.wait_for(share)
    if threads > 1:
        done = threading.Event()
        assert lane.offer(Work.DELETES, OTHER, lambda: bool(done.set()))
        assert done.wait(10)


def test_what_is_no_delete_leaves_half_of_the_threads_to_deletes(
    open_lane: Callable[[int], Lane], hanging: Hanging
) -> None:
    lane = open_lane(4)
    for account in range(10):
        assert offered(lane, Work.SYNC, account, hanging, 2) == 1
    hanging.wait_for(2)
    done = threading.Event()
    lane.offer(Work.DELETES, SLOW, lambda: bool(done.set()))
    assert done.wait(10)
    assert not hanging.begun.acquire(blocking=False)


def test_an_account_has_one_sync_search_or_sweep_at_once_and_keeps_the_others_waiting(
    open_lane: Callable[[int], Lane], hanging: Hanging
) -> None:
    lane = open_lane(16)
    assert lane.offer(Work.SYNC, SLOW, hanging)
    hanging.wait_for(1)
    swept = threading.Event()
    assert lane.offer(Work.SWEEP, SLOW, lambda: bool(swept.set()))
    synced = threading.Event()
    assert lane.offer(Work.SYNC, OTHER, lambda: bool(synced.set()))
    assert synced.wait(10)
    assert not swept.is_set()
    hanging.gate.set()
    assert swept.wait(10)


@pytest.mark.parametrize("threads", [8, 16])
def test_one_organizations_endpoints_leave_a_thread_to_those_of_others(
    open_lane: Callable[[int], Lane], hanging: Hanging, threads: int
) -> None:
    lane = open_lane(threads)
    most = threads // 4
    for endpoint in range(10):
        assert lane.offer(Work.WEBHOOKS, endpoint, hanging, owner=SLOW)
    hanging.wait_for(most - 1)
    done = threading.Event()
    assert lane.offer(Work.WEBHOOKS, 99, lambda: bool(done.set()), owner=OTHER)
    assert done.wait(10)
    assert not hanging.begun.acquire(blocking=False)


def test_whose_endpoints_have_the_fewest_threads_has_the_next(
    open_lane: Callable[[int], Lane], hanging: Hanging
) -> None:
    lane = open_lane(16)
    first = Hanging()
    assert lane.offer(Work.WEBHOOKS, 0, first, owner=SLOW)
    for endpoint in range(1, 4):
        assert lane.offer(Work.WEBHOOKS, endpoint, hanging, owner=SLOW if endpoint < 3 else THIRD)
    first.wait_for(1)
    hanging.wait_for(3)
    done = threading.Event()
    assert lane.offer(Work.WEBHOOKS, 4, hanging, owner=THIRD)
    assert lane.offer(Work.WEBHOOKS, 5, lambda: bool(done.set()), owner=OTHER)
    first.gate.set()
    assert done.wait(10)


def test_one_thread_for_webhooks_serves_every_organization(open_lane: Callable[[int], Lane]) -> None:
    lane = open_lane(4)
    done = threading.Semaphore(0)
    for endpoint in range(3):
        assert lane.offer(Work.WEBHOOKS, endpoint, lambda: bool(done.release()), owner=SLOW)
    for _ in range(3):
        assert done.acquire(timeout=10)


def test_work_that_has_more_goes_on_behind_the_others(open_lane: Callable[[int], Lane]) -> None:
    lane = Lane(1)
    order: list[str] = []

    def piece() -> bool:
        order.append("long")
        return len(order) < 4

    lane.offer(Work.DELETES, SLOW, piece)
    lane.offer(Work.DELETES, OTHER, lambda: bool(order.append("short")))
    lane.start()
    wait_until(lambda: len(order) == 4, seconds=10, what="all pieces")
    assert order == ["long", "short", "long", "long"]
    lane.close(0)


def test_a_job_that_fails_ends_no_thread(open_lane: Callable[[int], Lane]) -> None:
    lane = open_lane(1)
    lane.offer(Work.DELETES, SLOW, lambda: bool(1 // 0))
    done = threading.Event()
    wait_until(lambda: lane.offer(Work.DELETES, SLOW, lambda: bool(done.set())), seconds=10, what="the share")
    assert done.wait(10)


def test_a_lane_that_closes_waits_for_what_is_in_hand_and_drops_the_rest(
    open_lane: Callable[[int], Lane], hanging: Hanging
) -> None:
    lane = open_lane(1)
    lane.offer(Work.DELETES, SLOW, hanging)
    hanging.wait_for(1)
    dropped = threading.Event()
    lane.offer(Work.DELETES, OTHER, lambda: bool(dropped.set()))
    assert lane.longest_seconds() > 0
    assert not lane.close(0.1)
    assert not lane.offer(Work.DELETES, OTHER, lambda: False)
    hanging.gate.set()
    assert lane.close(10)
    assert lane.longest_seconds() == 0
    assert not dropped.is_set()


def test_a_process_without_a_lane_does_it_at_once() -> None:
    pieces = [True, True, False]
    assert lanes.offer(Work.DELETES, SLOW, lambda: pieces.pop(0))
    assert not pieces
    assert not lanes.is_closing()


def test_webhooks_that_hang_hold_a_quarter_of_the_threads_and_an_endpoint_one(
    open_lane: Callable[[int], Lane], hanging: Hanging
) -> None:
    lane = open_lane(8)
    assert offered(lane, Work.WEBHOOKS, SLOW, hanging, 3) == 1
    hanging.wait_for(1)
    others = threading.Event()
    assert lane.offer(Work.WEBHOOKS, OTHER, lambda: bool(others.set()), owner=OTHER)
    assert others.wait(10)
    assert sum(lane.offer(Work.WEBHOOKS, each, hanging, owner=each) for each in range(10, 20)) == 10
    hanging.wait_for(1)
    for work in Work.DELETES, Work.SYNC:  # an account of the same number is another thing
        done = threading.Event()
        assert lane.offer(work, SLOW, lambda done=done: bool(done.set()))
        assert done.wait(10)
    assert not hanging.begun.acquire(blocking=False)
