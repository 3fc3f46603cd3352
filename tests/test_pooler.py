"""The gateway on PostgreSQL behind PgBouncer in transaction mode."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import openai
import pytest
import requests

from tests.processes import wait_until
from tests.servers import PgBouncer, PostgreSQL
from tests.stack import Stack

FILES = 4


@pytest.fixture(scope="module")
def stack(
    pgbouncer: PgBouncer, postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A whole gateway, whose database was migrated by way of the pooler too."""
    url = pgbouncer.in_front_of(postgresql.create_database("pooler"))
    environment = {"DATABASE_BEHIND_POOLER": "true"}
    with Stack(tmp_path_factory.mktemp("stack"), database_url=url, environment=environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def files(stack: Stack) -> list[str]:
    """The ids of some files."""
    with openai.OpenAI(base_url=stack.api_url, api_key=stack.api_key, max_retries=0) as client:
        return [client.files.create(file=("a.txt", b"hello"), purpose="user_data").id for _ in range(FILES)]


def test_files_are_listed_served_and_deleted(stack: Stack, files: list[str]) -> None:
    with openai.OpenAI(base_url=stack.api_url, api_key=stack.api_key, max_retries=0) as client:
        file = client.files.create(file=("b.txt", b"bytes"), purpose="user_data")
        assert set(files) < {listed.id for listed in client.files.list(limit=2)}
        assert client.files.content(file.id).content == b"bytes"
        assert client.files.delete(file.id).deleted
    waiting = ("deletions", "list", "--json")
    wait_until(
        lambda: json.loads(stack.manage(*waiting).stdout) == [], seconds=20, what="the worker to delete"
    )


def test_commands_read_through_it(stack: Stack, files: list[str]) -> None:
    listed = stack.manage("files", "list").stdout
    assert all(file in listed for file in files)
    stack.manage("accounts", "test")


def test_the_admin_reads_through_it(stack: Stack, files: list[str]) -> None:
    url = f"{stack.url}/admin"
    with requests.Session() as session:
        login = session.get(f"{url}/login/", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token
        form = {"username": "admin", "password": stack.admin_password, "csrfmiddlewaretoken": token[1]}
        session.post(f"{url}/login/", form, headers={"Referer": url}, timeout=30).raise_for_status()
        for path in ("", "export/"):
            shown = session.get(f"{url}/files_app/file/{path}", timeout=30)
            assert all(file in shown.text for file in files), path
