"""An end for a whole call, whatever trickles in: a server may send a byte before each timeout, for hours.

    with cut_after(15):
        transport.send(request)

The connection that the thread uses is shut down when the time is over; what waits for it fails at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Deadline:
    """Knows the socket that a thread uses now, by a descriptor of its own: TLS takes the socket's over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_over = False

    def left(self) -> float:
        """Return how many seconds there are left, 0 when the time is over."""
        return 0.0 if self.is_over else max(0.0, self._ends - time.monotonic())

    def watch(self, used: socket.socket) -> None:
        """Shut this one down when the time is over, and not the one before it."""
        fresh = socket.socket(fileno=os.dup(used.fileno()))
        with self._lock:
            self._let_go()
            self._socket = fresh
            if self.is_over:
                self._shut()

    def end(self) -> None:
        """Shut down what is watched: the time is over."""
        with self._lock:
            self.is_over = True
            self._shut()

    def close(self) -> None:
        """Watch nothing any more."""
        with self._lock:
            self._let_go()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_of_thread = threading.local()


def current() -> Deadline | None:
    """Return the deadline of the call that this thread makes."""
    return getattr(_of_thread, "deadline", None)


@contextmanager
def cut_after(seconds: float) -> Iterator[Deadline]:
    """End what the block's thread waits for over a guarded connection once so much time has passed."""
    deadline = Deadline(seconds)
    timer = threading.Timer(seconds, deadline.end)
    timer.daemon = True
    _of_thread.deadline = deadline
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        _of_thread.deadline = None
        deadline.close()
