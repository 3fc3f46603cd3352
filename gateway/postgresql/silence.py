"""Connections that wait for an answer for so long and no longer.

PostgreSQL's own time limits need a PostgreSQL that runs. One that was stopped, or whose host hangs, says
nothing, while its kernel still acknowledges what it is sent: neither keepalives nor TCP's time-outs find it.
"""

from collections.abc import Generator
from time import monotonic
from types import SimpleNamespace
from typing import Any, Self

import psycopg


class SilenceError(psycopg.OperationalError):
    """The database has said nothing for too long, and the connection has been closed."""


class AnsweringConnection(psycopg.Connection[Any]):
    """Ends when its server says nothing for `silence_seconds` although it was asked; None waits for ever."""

    silence_seconds: float | None = None
    #: When who borrowed it has waited long enough for a first answer: the queue of the pool counts too.
    first_answer_by = 0.0
    #: The names of the statements that its session has prepared; None where it is to prepare none.
    prepared: frozenset[str] | None = None
    #: Until when those are run by the plans that there are.
    plans_until = 0.0

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        silence_seconds = kwargs.pop("silence_seconds", None)
        connection = super().connect(*args, **kwargs)
        connection.silence_seconds = silence_seconds
        return connection

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        if self.silence_seconds is None:
            return super().wait(gen, *args, **kwargs)
        first, self.first_answer_by = self.first_answer_by, 0.0
        try:
            return super().wait(_heard(gen, self.silence_seconds, first), *args, **kwargs)
        except SilenceError:
            self.pgconn.finish()  # an answer that came later would be taken for that to the next statement
            raise


def _heard(gen: Generator[Any, Any, Any], seconds: float, first_answer_by: float) -> Generator[Any, Any, Any]:
    """Run psycopg's generator, and raise SilenceError when its socket gives no sign for so many seconds."""
    try:
        wanted = next(gen)
        deadline = monotonic() + seconds
        if first_answer_by:
            deadline = max(first_answer_by, deadline - seconds / 2)
        while True:
            ready = yield wanted
            if ready:
                deadline = monotonic() + seconds
            elif monotonic() >= deadline:
                raise SilenceError(f"the database did not answer within {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value


#: psycopg as Django's backend wants it, which connects with our class where there is no pool.
driver = SimpleNamespace(**{**vars(psycopg), "connect": AnsweringConnection.connect})
