"""A PostgreSQL that has no connection left: requests wait a bounded time, are told, and all heals (C5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.fake_provider import FakeProvider
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway
from tests.processes import wait_until
from tests.servers import PostgreSQL
from tests.stack import Stack

CONNECTIONS = 6
CLIENTS = 24


@pytest.fixture
def limited_url(postgresql: PostgreSQL, postgresql_url: str) -> str:
    """The URL of a database whose user may have a few connections."""
    name = postgresql_url.rpartition("/")[2]
    role = sql.Identifier(f"{name}_user")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        limit = sql.SQL(f"CREATE ROLE {{}} LOGIN CONNECTION LIMIT {CONNECTIONS}")
        connection.execute(limit.format(role))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), role))
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role))
    return f"postgres://{name}_user@127.0.0.1:{postgresql.port}/{name}"


@pytest.fixture
def gateway(
    limited_url: str, fake: FakeProvider, need_service: Callable[[str], str], tmp_path: Path
) -> Iterator[Gateway]:
    with Gateway(Stack(tmp_path, database_url=limited_url, environment=QUICK), fake) as gateway:
        yield gateway


def hold_all(url: str, held: ExitStack) -> None:
    """Open connections until one is refused."""
    while True:
        held.enter_context(psycopg.connect(url))


def test_without_a_free_connection_requests_end_in_time_and_all_heals(
    gateway: Gateway, limited_url: str
) -> None:
    tenant = gateway.tenant()
    file_id = tenant.upload(b"content").json()["id"]
    with ExitStack() as held:
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            hold_all(limited_url, held)
        with gateway.locked_database(), ThreadPoolExecutor(CLIENTS) as clients:
            # The connection that the pool has is taken by the first; the others have none.
            answers = list(clients.map(lambda _: tenant.upload(b"more"), range(CLIENTS)))
        assert {answer.status_code for answer in answers} == {503}
        assert all(answer.headers["Retry-After"] for answer in answers)
        assert max(answer.elapsed.total_seconds() for answer in answers) < PATIENCE_SECONDS / 2
        assert tenant.content(file_id).content == b"content"
    wait_until(
        lambda: tenant.upload(b"again").status_code == 200, seconds=PATIENCE_SECONDS, what="an upload to work"
    )
    gateway.recover()
    assert tenant.usage()[1:] == (0, 2)
    gateway.assert_no_drift()
