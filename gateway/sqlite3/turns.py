"""A lock that is given to threads in the order in which they asked for it."""

import os
import threading
from collections import deque
from functools import cache


class Turns:
    """One thread has its turn; the others stand in a queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._is_taken = False

    def take(self, seconds: float) -> bool:
        """Wait for one's turn for so long at most; return whether it has come."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            called = threading.Event()
            self._queue.append(called)
        if called.wait(seconds):
            return True
        with self._lock:
            if called.is_set():  # in the last moment
                return True
            self._queue.remove(called)
            return False

    def give(self) -> None:
        """Call the next."""
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._is_taken = False


@cache
def turns_at(path: str) -> Turns:
    """Return the turns of all threads of this process at a database."""
    return Turns()


# A child has one thread, which holds none of its parent's turns.
os.register_at_fork(after_in_child=turns_at.cache_clear)
