"""Whose request works next, while more want to work than one interpreter can serve at once.

A hundred refusals of one tenant take the interpreter from whoever asks beside them, however cheap each is. So
TURNS_AT_ONCE requests of a process work at a time, and the next turn goes to the party that has the fewest.
A turn ends with the answer, or where a request begins to wait for a provider or to move bytes, which has
limits of its own (`shares`). Whoever has it longer than it is lent waits for something, and stops counting.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Hashable

_LENT_SECONDS = 0.05


class Turn:
    """One request's turn. party: whom it counts for."""

    __slots__ = ("asked", "granted", "party")

    def __init__(self, party: Hashable) -> None:
        self.party = party
        self.asked = time.monotonic()
        self.granted: threading.Event | None = None  # only where it has to be waited for


class Turns:
    """Hands out turns.

    most: how many count at once. lent_seconds: how long one counts at the most.
    """

    def __init__(self, most: int, *, lent_seconds: float = _LENT_SECONDS) -> None:
        self._most = most
        self._lent_seconds = lent_seconds
        self._lock = threading.Lock()
        self._working: dict[Turn, float] = {}  # when each was granted, the oldest first
        self._working_for: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Turn]] = {}

    def take(self, party: Hashable, *, wait_seconds: float) -> Turn | None:
        """Return a turn for the party once it is its own; None when it did not come in time."""
        turn = Turn(party)
        with self._lock:
            self._grant_what_is_free()
            if len(self._working) < self._most:
                self._begin(turn)
                return turn
            granted = turn.granted = threading.Event()
            pause = self._look_after_seconds()
            self._waiting.setdefault(party, deque()).append(turn)
        deadline = turn.asked + wait_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            if granted.wait(min(pause, remaining)):
                return turn
            with self._lock:
                self._grant_what_is_free()  # nobody says when a turn is over that was lent too long
        with self._lock:
            return turn if turn in self._working else self._forget(turn)

    def end(self, turn: Turn) -> None:
        """Let the next one work; of no effect on a turn that has ended."""
        with self._lock:
            if turn in self._working:
                self._stop(turn)
                self._grant_what_is_free()

    def _look_after_seconds(self) -> float:
        """Return when its turn could come if all before it only waited: a crowd that looks works, too."""
        before = sum(map(len, self._waiting.values()))
        return self._lent_seconds * (1 + before // self._most)

    def _grant_what_is_free(self) -> None:
        now = time.monotonic()
        while self._working:
            oldest = next(iter(self._working))
            if now - self._working[oldest] < self._lent_seconds:
                break
            self._stop(oldest)
        while self._waiting and len(self._working) < self._most:
            party = min(self._waiting, key=self._precedence)
            turn = self._waiting[party].popleft()
            if not self._waiting[party]:
                del self._waiting[party]
            self._begin(turn)
            if turn.granted is not None:
                turn.granted.set()

    def _precedence(self, party: Hashable) -> tuple[int, float]:
        return self._working_for[party], self._waiting[party][0].asked

    def _begin(self, turn: Turn) -> None:
        self._working[turn] = time.monotonic()
        self._working_for[turn.party] += 1

    def _stop(self, turn: Turn) -> None:
        del self._working[turn]
        self._working_for[turn.party] -= 1
        if not self._working_for[turn.party]:
            del self._working_for[turn.party]

    def _forget(self, turn: Turn) -> Turn | None:
        queue = self._waiting.get(turn.party)
        if queue is None or turn not in queue:
            return turn  # it was granted, and lent too long, while nobody looked
        queue.remove(turn)
        if not queue:
            del self._waiting[turn.party]
        return None


class _Current(threading.local):
    turns: Turns | None = None
    turn: Turn | None = None


_current = _Current()


def take_turn(turns: Turns, party: Hashable, *, wait_seconds: float) -> bool:
    """Wait for this thread's turn; False when it did not come in time."""
    turn = turns.take(party, wait_seconds=wait_seconds)
    _current.turns, _current.turn = turns, turn
    return turn is not None


def end_turn() -> None:
    """Let another request work. Called where this one's thread waits for something else, and at its end."""
    turns, turn = _current.turns, _current.turn
    if turns is not None and turn is not None:
        _current.turns = _current.turn = None
        turns.end(turn)
