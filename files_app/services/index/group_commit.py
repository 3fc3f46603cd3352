"""Commits of several threads as one: SQLite writes for one at a time, and each commit waits for the disk.

Whoever comes while nobody waits for SQLite's turn waits for it, on behalf of all who come until he has it.
Then he does the work of all, commits once, and tells them. So under load a commit serves as many as came
during the one before it, and nobody is told before what is his is on the disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

T = TypeVar("T")


def commit_in_group(work: Callable[[], T]) -> T:
    """Return what `work` returns once that is committed; what it raises undoes it alone.

    work: uses nothing but the database connection of the thread that runs it, which may be another, and
    registers nothing to be done after the commit. It is undone and done again where that of another failed
    beside it. In a transaction of the caller's it is a part of that.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            return work()
    return _group.done(_Work(work))


class _Work(Generic[T]):
    """What one thread wants to be done. error: why it was not; None while nothing went wrong."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T | None = None
        self.error: BaseException | None = None
        self.ended = threading.Event()

    def do(self) -> None:
        self._result = self._work()

    def do_beside_others(self) -> None:
        """Do it, and undo it alone where it fails."""
        try:
            with transaction.atomic():
                self.do()
        except Exception as error:  # its own thread raises it
            self.error = error

    def fail(self, error: BaseException) -> None:
        """Note that the transaction failed, whatever this part of it had done. An error has one thread."""
        if isinstance(error, DatabaseError | InterfaceError):
            self.error = type(error)(*error.args)
        else:
            self.error = OperationalError("the thread that wrote for several was stopped")
        self.error.__cause__ = error

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # it was done


class _Group:
    """The threads of this process that wait for the same turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Work[Any]] = []

    def done(self, work: _Work[T]) -> T:
        with self._lock:
            self._waiting.append(work)
            leads = len(self._waiting) == 1
        if leads:
            self._lead(work)
        else:
            work.ended.wait()  # not for longer than the leader, who came first, waits for his turn
        return work.result()

    def _lead(self, own: _Work[Any]) -> None:
        works: list[_Work[Any]] = []
        try:
            with transaction.atomic():
                works = self._close()  # who comes from here on waits for the next turn
                self._do(works)
        except BaseException as error:
            works = works or self._close()
            for work in works:
                work.fail(error)
            own.error = error
        finally:
            for work in works:
                work.ended.set()

    def _close(self) -> list[_Work[Any]]:
        with self._lock:
            works, self._waiting = self._waiting, []
        return works

    def _do(self, works: list[_Work[Any]]) -> None:
        if len(works) == 1:
            works[0].do()
            return
        try:
            with transaction.atomic():
                for work in works:
                    work.do()
        except Exception as error:  # of one of them: which, shows where each can be undone alone
            if transaction.get_rollback():
                raise OperationalError("the transaction was ended by the database") from error
            self._do_each_alone(works)

    def _do_each_alone(self, works: list[_Work[Any]]) -> None:
        for work in works:
            work.do_beside_others()
            if transaction.get_rollback():  # it could not be undone alone: SQLite has ended the transaction
                raise OperationalError("the transaction was ended by the database") from work.error


_group = _Group()


def _forget_the_parents() -> None:
    global _group  # a child has one thread, which waits for nothing
    _group = _Group()


os.register_at_fork(after_in_child=_forget_the_parents)
