"""What psycopg's pool needs to be there again as soon as the server is, and to say why it is not."""

from typing import Any, ClassVar, Self

import psycopg
from psycopg_pool import ConnectionPool

from gateway.postgresql.silence import AnsweringConnection


class PooledConnection(AnsweringConnection):
    """Remembers why the last one could not be made: a request that waits for one sees a time-out only."""

    failure: ClassVar[str] = ""
    #: A connection that serves one request would prepare each statement to run it once.
    prepared: frozenset[str] | None = frozenset()

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            connection = super().connect(*args, **kwargs)
        except psycopg.Error as error:
            PooledConnection.failure = str(error).strip().partition("\n")[0]
            raise
        PooledConnection.failure = ""
        return connection


def keep_connecting(pool: ConnectionPool[Any]) -> None:
    """Let a pool that gave up its last connection try on, at the pace of its `reconnect_timeout`.

    By itself it would try again with the next request, and let those that wait already wait in vain.
    """
    if pool.get_stats()["pool_size"] < pool.min_size:
        least = pool.min_size
        pool.resize(0, pool.max_size)
        pool.resize(least, pool.max_size)
