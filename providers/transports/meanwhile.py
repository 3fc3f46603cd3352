"""What a thread does while it waits for the answer to a request that it has sent.

    with meanwhile.doing(write_it_down):
        download = driver.download_file(...)

It is done once and surely: at the end of the block, where nothing was waited for over a guarded connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Work:
    """The work of one block, and what came of it: an error is the block's, not the connection's."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do: Callable[[], object] | None = do
        self.error: BaseException | None = None

    def finish(self) -> None:
        do, self._do = self._do, None
        if do is None:
            return
        try:
            do()
        except BaseException as exc:
            self.error = exc


_of_thread = threading.local()


def work() -> None:
    """Do what the thread has to do by the way: a request has been sent, and its answer will take a while."""
    pending: _Work | None = getattr(_of_thread, "work", None)
    if pending is not None:
        pending.finish()


@contextmanager
def doing(do: Callable[[], object]) -> Iterator[None]:
    """Do something in the time in which the block waits for an answer. Raises what it raises.

    It must not wait for another provider, and must leave no connection to the database in hand.
    """
    pending = _of_thread.work = _Work(do)
    try:
        yield
    finally:
        _of_thread.work = None
        pending.finish()
        if pending.error is not None:
            raise pending.error
