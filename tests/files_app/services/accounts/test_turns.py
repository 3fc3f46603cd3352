"""Turns: who works next, and that nobody keeps one who waits for something else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Hashable, Iterator

import pytest

from files_app.services.accounts import turns as turns_module
from files_app.services.accounts.turns import Turn, Turns, end_turn, take_turn
from tests.processes import wait_until

FOR_EVER = 1_000.0


class Line:
    """Threads that want a turn, and in which order they got it."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.served: queue.Queue[tuple[Hashable, Turn | None]] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def join(self, party: Hashable) -> None:
        """Let one more wait, and return once it does."""
        waiting = self.waiting
        thread = threading.Thread(target=self._wait, args=(party,), daemon=True)
        self._threads.append(thread)
        thread.start()
        wait_until(lambda: self.waiting > waiting, seconds=30, what="it to wait")

    @property
    def waiting(self) -> int:
        return sum(len(each) for each in list(self._turns._waiting.values()))

    def _wait(self, party: Hashable) -> None:
        self.served.put((party, self._turns.take(party, wait_seconds=30)))

    def end(self) -> None:
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def turns() -> Turns:
    return Turns(1, lent_seconds=FOR_EVER)


@pytest.fixture
def line(turns: Turns) -> Iterator[Line]:
    line = Line(turns)
    yield line
    line.end()


def test_who_has_none_comes_before_a_crowd_that_waits_longer() -> None:
    turns = Turns(2, lent_seconds=FOR_EVER)
    line = Line(turns)
    first, second = (turns.take("crowd", wait_seconds=1) for _ in range(2))
    assert first is not None and second is not None
    for party in "crowd", "crowd", "other", "crowd":
        line.join(party)
    turns.end(first)
    party, others = line.served.get(timeout=30)
    assert party == "other" and others is not None
    turns.end(second)
    order = [line.served.get(timeout=30)]
    for _ in range(2):
        turns.end(order[-1][1] or others)
        order.append(line.served.get(timeout=30))
    assert [party for party, _ in order] == ["crowd"] * 3
    line.end()


def test_those_of_one_party_are_served_in_the_order_they_came(turns: Turns, line: Line) -> None:
    held = turns.take("first", wait_seconds=1)
    for party in "second", "third", "fourth":
        line.join(party)
    served = []
    while held is not None and len(served) < 3:
        turns.end(held)
        turns.end(held)  # once more changes nothing
        party, held = line.served.get(timeout=30)
        served.append(party)
    assert served == ["second", "third", "fourth"]


def test_who_waits_for_something_else_keeps_nobody_waiting() -> None:
    turns = Turns(1, lent_seconds=0.01)
    late = turns.take("slow", wait_seconds=1)
    assert late is not None
    next_one = turns.take("other", wait_seconds=30)
    assert next_one is not None
    turns.end(late)  # it stopped counting, and ends nobody else's
    assert list(turns._working) == [next_one]


def test_a_turn_that_does_not_come_in_time_leaves_nothing(turns: Turns) -> None:
    held = turns.take("first", wait_seconds=1)
    assert turns.take("second", wait_seconds=0.02) is None
    assert held is not None and not turns._waiting
    turns.end(held)
    assert not turns._working and not turns._working_for
    assert turns.take("second", wait_seconds=1) is not None


def test_a_thread_ends_its_turn_once(turns: Turns) -> None:
    assert take_turn(turns, "one", wait_seconds=1)
    end_turn()
    assert take_turn(turns, "another", wait_seconds=1)
    end_turn()
    end_turn()
    assert not turns._working
    assert turns_module._current.turn is None
