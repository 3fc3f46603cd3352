"""Which connections have to end, from what the kernel and the requests say of them. No clock, no socket.

Only time that the gateway spends waiting for a client counts against it:

- a download, while something lies in the send queue;
- an upload, between two arrivals of bytes while everything that arrived before has been taken. Silence is
  charged when it ends: until then it may be the client that has said everything, and waits for us;
- a connection on which nothing moves and nothing waits, unless it carries a request that is at work or that
  waits for a thread.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.slow_clients.sockets import Reading

#: Younger stillness is no reason to end a connection, however many there are.
SETTLED_SECONDS = 1.0
#: A request at work and its connection move bytes at most so far apart, on a busy machine: each connection of
#: its address that moved within that time may be the one.
NEAR_SECONDS = 2.0
#: A read that waits longer than a client's patience by this factor is not that of a connection which has just
#: been ended for being slow: its thread has heard of the end by then.
BLAME_FACTOR = 1.25


class Fault(StrEnum):
    """Why a connection ends."""

    SLOW_DOWNLOAD = "slow_download"
    SLOW_UPLOAD = "slow_upload"
    STILL = "still"
    CROWDED = "crowded"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients are held to, and what a process has for them.

    least_rate: bytes a second, 0 for none
    """

    least_rate: int
    patience_seconds: float
    most_connections: int
    threads: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is being answered. `still_seconds`: since it last took bytes or gave some."""

    address: str
    still_seconds: float
    waits_for_client: bool


@dataclass(slots=True)
class _Credit:
    """Seconds that a client may still fall behind: waiting spends them, bytes earn them back."""

    bounds: Bounds
    seconds: float

    def settle(self, waited_seconds: float, moved_bytes: int) -> bool:
        """Return whether nothing is left."""
        if not self.bounds.least_rate:
            return False
        earned = moved_bytes / self.bounds.least_rate
        self.seconds = min(self.bounds.patience_seconds, self.seconds - waited_seconds + earned)
        return self.seconds <= 0

    def restore(self) -> None:
        self.seconds = self.bounds.patience_seconds


class _Record:
    """What is remembered of one connection between two looks."""

    def __init__(self, bounds: Bounds, first: Reading) -> None:
        self._last = first
        self._download = _Credit(bounds, bounds.patience_seconds)
        self._upload = _Credit(bounds, bounds.patience_seconds)
        self.is_in_request = first.received > 0 and not first.sent
        self.is_in_body = False  # bytes came more than once in this request
        self.is_taken = True  # the server takes what comes
        self._silent_seconds = 0.0

    def look(self, reading: Reading, elapsed_seconds: float) -> Fault | None:
        last, self._last = self._last, reading
        self.is_taken = not (last.unread and reading.unread)
        if self._takes_too_little(last, reading, elapsed_seconds):
            return Fault.SLOW_DOWNLOAD
        if self._sends_too_little(last, reading, elapsed_seconds):
            return Fault.SLOW_UPLOAD
        return None

    def _takes_too_little(self, last: Reading, reading: Reading, elapsed_seconds: float) -> bool:
        if not reading.untaken:
            self._download.restore()
            return False
        if not last.untaken:
            return False
        taken = (reading.sent - reading.untaken) - (last.sent - last.untaken)
        return self._download.settle(elapsed_seconds, taken)

    def _sends_too_little(self, last: Reading, reading: Reading, elapsed_seconds: float) -> bool:
        if reading.sent != last.sent:  # an answer: what comes next is another request
            self.is_in_request, self.is_in_body, self._silent_seconds = False, False, 0.0
            self._upload.restore()
            return False
        waited = elapsed_seconds if self.is_in_request and not last.unread else 0.0
        if reading.received == last.received:
            self._silent_seconds += waited
            return False
        silent, self._silent_seconds = self._silent_seconds, 0.0
        self.is_in_request, self.is_in_body = True, self.is_in_request
        return self._upload.settle(silent + waited, reading.received - last.received)


class Judge:
    """Judges all connections of a process, look after look."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._records: dict[int, _Record] = {}
        self._seconds_since_full = math.inf

    def judge(
        self, readings: Sequence[Reading], requests: Sequence[Request], elapsed_seconds: float
    ) -> dict[int, Fault]:
        """Return why connections have to end, by inode. `elapsed_seconds`: since the last look."""
        is_full = len(requests) >= self._bounds.threads
        self._seconds_since_full = 0.0 if is_full else self._seconds_since_full + elapsed_seconds
        faults = self._too_slow(readings, elapsed_seconds)
        rest = [reading for reading in readings if reading.inode not in faults]
        surplus = len(rest) - self._bounds.most_connections
        settled = [one for one in rest if one.is_drained and one.still_seconds >= SETTLED_SECONDS]
        longest = max((one.still_seconds for one in settled), default=0.0)
        if surplus <= 0 and longest < self._bounds.patience_seconds:
            return faults
        carried = carriers(*self._without_moving_uploads(readings, requests))
        working = [request for request in requests if not request.waits_for_client]
        idle = sorted(
            (
                (self._idle_seconds(one, carried), one.inode)
                for one in settled
                if not _may_carry(one, working)
            ),
            reverse=True,
        )
        for number, (seconds, inode) in enumerate(idle):
            if seconds >= self._bounds.patience_seconds:
                faults[inode] = Fault.STILL
            elif seconds >= SETTLED_SECONDS and number < surplus:
                faults[inode] = Fault.CROWDED
        return faults

    def _too_slow(self, readings: Sequence[Reading], elapsed_seconds: float) -> dict[int, Fault]:
        known, self._records = self._records, {}
        faults = {}
        for reading in readings:
            record = known.get(reading.inode)
            if record and (fault := record.look(reading, elapsed_seconds)):
                faults[reading.inode] = fault
            self._records[reading.inode] = record or _Record(self._bounds, reading)
        return faults

    def _without_moving_uploads(
        self, readings: Iterable[Reading], requests: Sequence[Request]
    ) -> tuple[list[Reading], list[Request]]:
        """Leave out connections that move an upload's body, and a request that waits for its client for each.

        A read waits until all of its bytes are there, so that such a request may stand still for minutes.
        """
        others: list[Reading] = []
        moving: Counter[str] = Counter()
        for reading in readings:
            record = self._records[reading.inode]
            is_still = reading.still_seconds >= self._bounds.patience_seconds
            if record.is_in_body and record.is_taken and not is_still:
                moving[reading.address] += 1
            else:
                others.append(reading)
        kept = []
        for request in sorted(requests, key=lambda one: one.still_seconds):
            if request.waits_for_client and moving[request.address]:
                moving[request.address] -= 1
            else:
                kept.append(request)
        return others, kept

    def _idle_seconds(self, reading: Reading, carried: Mapping[int, Request]) -> float:
        """Return for how long a connection that stands still does so because of its client."""
        if request := carried.get(reading.inode):
            waited = request.still_seconds / BLAME_FACTOR
            return min(reading.still_seconds, waited) if request.waits_for_client else 0.0
        if self._records[reading.inode].is_in_request:  # it may have had to wait for a thread
            return min(reading.still_seconds, self._seconds_since_full)
        return reading.still_seconds


def _may_carry(reading: Reading, working: Iterable[Request]) -> bool:
    return any(
        request.address == reading.address
        and abs(request.still_seconds - reading.still_seconds) <= NEAR_SECONDS
        for request in working
    )


def carriers(readings: Iterable[Reading], requests: Iterable[Request]) -> dict[int, Request]:
    """Return by inode which connections carry the requests.

    Nothing says which they are. Taken are those of the same address that moved bytes when the request did.
    """
    connections: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        connections[reading.address].append(reading)
    distances = sorted(
        (abs(reading.still_seconds - request.still_seconds), reading.inode, number, request)
        for number, request in enumerate(requests)
        for reading in connections[request.address]
    )
    carried: dict[int, Request] = {}
    placed: set[int] = set()
    for _, inode, number, request in distances:
        if inode not in carried and number not in placed:
            carried[inode] = request
            placed.add(number)
    return carried
