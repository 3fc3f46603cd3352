"""This process on PostgreSQL with its pool, as in production, for tests of what holds a connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg_pool
import pytest
from django.db import connections

from files_app.models import File, Organization, ProviderAccount
from gateway.connections import database

ALIAS = "default"


@contextmanager
def other_database(url: str, *, behind_pooler: bool = False) -> Iterator[None]:
    """Let every thread use the database at `url` in place of the suite's own.

    Nothing may be open in a transaction. A thread that is there already keeps its connection: it has to have
    none.
    """
    kept, ours = connections.settings[ALIAS], connections[ALIAS]
    _close(ours)
    config = database(url, behind_pooler=behind_pooler)
    connections.settings[ALIAS] = connections.configure_settings({ALIAS: config})[ALIAS]
    connections[ALIAS] = connections.create_connection(ALIAS)
    try:
        yield
    finally:
        _close(connections[ALIAS])
        connections.settings[ALIAS], connections[ALIAS] = kept, ours


def _close(wrapper: Any) -> None:
    wrapper.close()
    if wrapper.vendor == "postgresql":
        wrapper.close_pool()


def empty() -> None:
    """Remove what an earlier test has left, in a database that no transaction undoes."""
    for model in (File, ProviderAccount, Organization):
        model.objects.all().delete()


@dataclass
class Lent:
    """The connections that the pool has lent: the name of the thread by connection."""

    threads: dict[int, str] = field(default_factory=dict)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note what is taken and given back from now on."""
        take, give_back = psycopg_pool.ConnectionPool.getconn, psycopg_pool.ConnectionPool.putconn

        def getconn(pool: Any, *args: Any, **kwargs: Any) -> Any:
            taken = take(pool, *args, **kwargs)
            self.threads[id(taken)] = threading.current_thread().name
            return taken

        def putconn(pool: Any, returned: Any) -> None:
            self.threads.pop(id(returned), None)
            give_back(pool, returned)

        monkeypatch.setattr(psycopg_pool.ConnectionPool, "getconn", getconn)
        monkeypatch.setattr(psycopg_pool.ConnectionPool, "putconn", putconn)
