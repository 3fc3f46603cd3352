"""Shares a worker's threads among provider accounts, so that a provider that hangs holds its own share only.

A process that has no lane, such as a command, does at once what is offered to it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from django.db import close_old_connections

log = structlog.get_logger(__name__)


class Work(StrEnum):
    """What is done at a provider in the background."""

    DELETES = "deletes"
    SEARCH = "search"
    SYNC = "sync"
    SWEEP = "sweep"
    TRANSLATION = "translation"
    LINES = "lines"
    WEBHOOKS = "webhooks"
    JOBS = "jobs"


#: What has a queue of its own.
_OF_THEIR_OWN = frozenset({Work.DELETES, Work.WEBHOOKS})


@dataclass(eq=False, slots=True)
class Job:
    """Work for one account, or for a webhook's endpoint, whose primary key stands in its place.

    do: returns True when there is more to do after the others have had their turn. owner: whose endpoint it
    is, an organization's primary key. began: `time.monotonic()` of its start, 0 while it waits.
    """

    work: Work
    account_pk: int
    do: Callable[[], bool]
    owner: int | None = None
    began: float = 0.0


class Lane:
    """Threads that do what is offered, with a bound for each account.

    An account has at most a quarter of the threads: one for a sync, a search, a sweep, a
    translation or an index of lines, the others for its deletes, and one of either at least. Offers beyond
    that are refused and not kept: what is due is in the database, whose turn comes again. Deletes, webhooks
    and the rest are taken in turn. The rest, which may take minutes, has half of the threads at most;
    webhooks, whose endpoints may hang, have a quarter, each endpoint one, and one organization's endpoints
    all but one; whose organization has the fewest threads has the next.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._deletes_each = max(1, threads // 4 - 1)
        self._most_others = max(1, threads // 2)
        self._most_webhooks = max(1, threads // 4)
        self._most_of_owner = max(1, self._most_webhooks - 1)
        self._deletes: deque[Job] = deque()
        self._webhooks: deque[Job] = deque()
        self._others: deque[Job] = deque()
        self._running: set[Job] = set()
        self._turns = deque([self._next_delete, self._next_webhook, self._next_other])
        self._is_closing = False
        self._changed = threading.Condition()

    def start(self) -> None:
        for number in range(self._threads):
            # Daemons: what hangs at a provider must not keep the process from its end.
            threading.Thread(target=self._run, name=f"lane-{number}", daemon=True).start()

    @property
    def is_closing(self) -> bool:
        """Whether no more is taken, so that work in pieces ends with the piece in hand."""
        return self._is_closing

    def offer(self, work: Work, account_pk: int, do: Callable[[], bool], *, owner: int | None = None) -> bool:
        """Let a thread do it soon; False when the account has its share, or the worker stops."""
        with self._changed:
            if self._is_closing or self._has_share(work, account_pk):
                return False
            self._waiting(work).append(Job(work, account_pk, do, owner))
            self._changed.notify()
            return True

    def close(self, seconds: float) -> bool:
        """Take nothing more, give what is in hand so long to end, and return whether it has.

        What has not is left to its lease.
        """
        with self._changed:
            self._is_closing = True
            self._deletes.clear()
            self._webhooks.clear()
            self._others.clear()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, seconds)

    def longest_seconds(self) -> float:
        """Return how long the oldest job has been in hand."""
        with self._changed:
            return max((time.monotonic() - job.began for job in self._running), default=0.0)

    def _has_share(self, work: Work, account_pk: int) -> bool:
        mine = [job for job in self._all() if (job.work, job.account_pk) == (work, account_pk)]
        return len(mine) >= (self._deletes_each if work is Work.DELETES else 1)

    def _all(self) -> Iterable[Job]:
        return [*self._running, *self._deletes, *self._webhooks, *self._others]

    def _run(self) -> None:
        while (job := self._take()) is not None:
            has_more = False
            with structlog.contextvars.bound_contextvars(work=job.work.value):
                try:
                    has_more = job.do()
                except Exception:  # the next job is another account's
                    log.exception("work_failed_unexpectedly", account=job.account_pk)
                finally:
                    close_old_connections()
                    self._end(job, has_more=has_more)

    def _take(self) -> Job | None:
        with self._changed:
            while not self._is_closing:
                if (job := self._next()) is not None:
                    job.began = time.monotonic()
                    self._running.add(job)
                    return job
                self._changed.wait()
            return None

    def _next(self) -> Job | None:
        for turn in list(self._turns):
            if (job := turn()) is not None:
                self._turns.remove(turn)
                self._turns.append(turn)
                return job
        return None

    def _next_delete(self) -> Job | None:
        return self._deletes.popleft() if self._deletes else None

    def _next_webhook(self) -> Job | None:
        busy = Counter(job.owner for job in self._running if job.work is Work.WEBHOOKS)
        if busy.total() >= self._most_webhooks:
            return None
        waiting = (job for job in self._webhooks if busy[job.owner] < self._most_of_owner)
        job = min(waiting, key=lambda job: busy[job.owner], default=None)
        if job is not None:
            self._webhooks.remove(job)
        return job

    def _next_other(self) -> Job | None:
        busy = [job.account_pk for job in self._running if job.work not in _OF_THEIR_OWN]
        if len(busy) >= self._most_others:
            return None
        job = next((job for job in self._others if job.account_pk not in busy), None)
        if job is not None:
            self._others.remove(job)
        return job

    def _end(self, job: Job, *, has_more: bool) -> None:
        with self._changed:
            self._running.discard(job)
            if has_more and not self._is_closing:
                self._waiting(job.work).append(job)
            self._changed.notify_all()

    def _waiting(self, work: Work) -> deque[Job]:
        return {Work.DELETES: self._deletes, Work.WEBHOOKS: self._webhooks}.get(work, self._others)


_lane: Lane | None = None


def open_lane(threads: int) -> Lane:
    """Give this process threads of its own for providers."""
    global _lane
    _lane = Lane(threads)
    _lane.start()
    return _lane


def close_lane(seconds: float) -> bool:
    """Close the lane, see `Lane.close`; from then on nothing is done here any more."""
    return _lane is None or _lane.close(seconds)


def offer(work: Work, account_pk: int, do: Callable[[], bool], *, owner: int | None = None) -> bool:
    """Let the process's lane do it, see `Lane.offer`; without a lane it is done at once."""
    if _lane is None:
        while do():
            pass
        return True
    return _lane.offer(work, account_pk, do, owner=owner)


def is_closing() -> bool:
    """Whether the process stops: work in pieces ends with the piece in hand."""
    return _lane is not None and _lane.is_closing
