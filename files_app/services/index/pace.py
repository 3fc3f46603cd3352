"""How many rows go into one transaction, and how long the database is left to others between two.

pace = Pace()
while rows := waiting[: pace.size]:
    with pace.group(len(rows)):
        ...  # one transaction
    pace.rest()
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: So many rows are done in one transaction, fewer where that takes longer than this: meanwhile nobody else
#: writes to SQLite.
_MOST, _LEAST = 100, 20
_GROUP_SECONDS = 0.1
#: Others get as long as a group took, and no longer than this.
_PAUSE_SECONDS = 0.25


class Pace:
    """Of one worker on many rows. size: of the next group."""

    def __init__(self) -> None:
        self.size = _MOST
        self._took = 0.0

    @contextmanager
    def group(self, rows: int) -> Iterator[None]:
        """Time what is done to a group of rows."""
        began = time.monotonic()
        yield
        self._took = time.monotonic() - began
        self.size = max(_LEAST, min(_MOST, round(rows * _GROUP_SECONDS / self._took)))

    def rest(self) -> None:
        """Leave the database to others."""
        time.sleep(min(self._took, _PAUSE_SECONDS))
