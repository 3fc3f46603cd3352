"""The gateway on each database and broker, from nothing up to a delete that the worker carries out."""

import contextlib
import http.client
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.processes import wait_until
from tests.servers import PostgreSQL, RabbitMQ, Redis
from tests.stack import Stack


@pytest.fixture(params=["embedded", "postgresql-redis", "postgresql-rabbitmq"])
def any_stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    database_url = broker_url = ""
    if request.param != "embedded":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        database_url = postgresql.create_database(f"stack_{uuid.uuid4().hex}")
    if request.param == "postgresql-redis":
        redis: Redis = request.getfixturevalue("redis_server")
        broker_url = redis.url
    if request.param == "postgresql-rabbitmq":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        broker_url = rabbitmq.url
    stack = Stack(tmp_path / "stack", database_url=database_url, broker_url=broker_url, from_nothing=True)
    with stack:
        yield stack


def stored_files(stack: Stack) -> list[Path]:
    """Return what the account `local` holds on disk."""
    return [path for path in (stack.data_dir / "files").rglob("*") if path.is_file()]


def test_a_file_is_uploaded_served_and_deleted(any_stack: Stack) -> None:
    client = openai.OpenAI(base_url=any_stack.api_url, api_key=any_stack.api_key, max_retries=0)
    with client:
        file = client.files.create(file=("a.txt", b"hello"), purpose="user_data")
        assert client.files.content(file.id).content == b"hello"
        assert stored_files(any_stack)
        assert client.files.delete(file.id).deleted
    wait_until(lambda: not stored_files(any_stack), seconds=10, what="the delete to reach the disk")


def test_idle_connections_do_not_keep_others_out(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", environment={"WEB_THREADS": "4"})
    stack.prepare()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(stack.stop)
        stack.start("web")
        stack.wait_ready()
        for _ in range(100):
            client = cleanup.enter_context(
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10))
            )
            client.request("GET", "/healthz")
            assert json.loads(client.getresponse().read())["status"] == "ok"
