"""A running gateway as its clients, its operator and its providers see it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.fake_provider import VALID_KEY, FakeProvider
from tests.processes import wait_until
from tests.stack import PROJECT, Part, Stack

#: Longer than any answer may take; a request that hangs ends a test with a clear error.
PATIENCE_SECONDS = 60.0
#: What an answer must not wait for, whatever the broker does: 1.5 s, measured generously.
PROMPT_SECONDS = 8.0


class ShellError(Exception):
    """An order failed in the operator's shell."""


class Shell:
    """Gives orders to `tests.faults.shell`, which works on the stack's database."""

    def __init__(self, stack: Stack) -> None:
        self.log = stack.directory / "shell.log"
        answers, theirs = os.pipe()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.shell", str(theirs)],
                cwd=PROJECT,
                env=stack.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                text=True,
            )
        os.close(theirs)
        self._answers = os.fdopen(answers)

    def __call__(self, order: str, **arguments: Any) -> Any:
        """Carry out an order of `tests.faults.shell` and return its result. Raises ShellError."""
        if self._process.stdin is None:
            raise RuntimeError("no standard input")
        self._process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._answers.readline()
        if not line:
            raise ShellError(f"the shell ended:\n{self.log.read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ShellError(answer["error"])
        return answer["result"]

    def kill(self) -> None:
        """SIGKILL it in the middle of an order."""
        self._process.kill()

    def close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()


@dataclass
class Tenant:
    """An organization's client: what it sees is what the gateway promises."""

    url: str
    organization: int
    key: str
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers["Authorization"] = f"Bearer {self.key}"

    def request(
        self, method: str, path: str, *, timeout: float = PATIENCE_SECONDS, **arguments: Any
    ) -> requests.Response:
        """Send one request over a connection of its own."""
        headers = {**self.headers, **arguments.pop("headers", {})}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=timeout, **arguments)

    def upload(
        self,
        content: bytes,
        filename: str = "a.txt",
        *,
        purpose: str = "evals",
        account: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        return self.request(
            "POST",
            "/v1/files",
            files={"file": (filename, content)},
            data={"purpose": purpose},
            headers={**naming(account), **(headers or {})},
        )

    def delete(self, file_id: str, *, timeout: float = PATIENCE_SECONDS) -> requests.Response:
        return self.request("DELETE", f"/v1/files/{file_id}", timeout=timeout)

    def retrieve(self, file_id: str) -> requests.Response:
        return self.request("GET", f"/v1/files/{file_id}")

    def content(self, file_id: str) -> requests.Response:
        return self.request("GET", f"/v1/files/{file_id}/content")

    def ids(self, account: str | None = None) -> set[str]:
        """Return the ids of every file that a list shows."""
        answer = self.request("GET", "/v1/files", headers=naming(account))
        assert answer.status_code == 200, answer.text
        return {file["id"] for file in answer.json()["data"]}

    def usage(self) -> tuple[int, int, int]:
        """Return used bytes, reserved bytes and number of files."""
        answer = self.request("GET", "/v1/usage")
        assert answer.status_code == 200, answer.text
        usage = answer.json()
        return usage["used_bytes"], usage["reserved_bytes"], usage["file_count"]

    def assert_empty(self) -> None:
        """No list shows a file, and the quota says so too (I2, I3, I4)."""
        assert self.ids() == set()
        assert self.usage() == (0, 0, 0)

    def assert_holds(self, files: Mapping[str, bytes], *, readable: bool = True) -> None:
        """Exactly these files are there, with these bytes, and they are what is counted (I1, I3)."""
        assert self.ids() == set(files)
        assert self.usage() == (sum(map(len, files.values())), 0, len(files))
        for file_id, content in files.items() if readable else ():
            assert digest(self.content(file_id).content) == digest(content)


class Gateway:
    """A stack with its web server, a shell beside it and, where a test wants it, a worker."""

    def __init__(self, stack: Stack, fake: FakeProvider, *, parts: tuple[Part, ...] = ("web",)) -> None:
        self.stack = stack
        self.fake = fake
        self._parts = parts

    def __enter__(self) -> Self:
        try:
            self.stack.prepare()
            self.shell = Shell(self.stack)
            for part in self._parts:
                self.stack.start(part)
            self.stack.wait_ready()
        except BaseException:
            self.stack.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.stop()
        self.shell.close()

    def reopen_shell(self) -> None:
        """Begin a new shell, whose connection to the database is not broken."""
        self.shell.close()
        self.shell = Shell(self.stack)

    def tenant(self, *accounts: dict[str, Any], **limits: int) -> Tenant:
        """Create an organization of its own, with one account at the fake provider unless told otherwise."""
        name = f"org-{secrets.token_hex(6)}"
        made = self.shell("tenant", name=name, accounts=list(accounts or [self.account()]), limits=limits)
        return Tenant(self.stack.url, made["organization"], made["key"])

    def account(self, name: str = "", dialect: str = "openai", **fields: Any) -> dict[str, Any]:
        """Describe an account at the fake provider that never syncs by itself."""
        return {
            "name": name or f"fake-{secrets.token_hex(4)}",
            "driver": dialect,
            "options": {"base_url": self.fake.url(dialect)},
            "credentials": {"api_key": VALID_KEY},
            "is_default": True,
            **fields,
        }

    def local(self, name: str = "", **fields: Any) -> dict[str, Any]:
        """Describe an account on disk, in a directory of its own."""
        name = name or f"disk-{secrets.token_hex(4)}"
        return {"name": name, "driver": "local", "options": {"directory": name}, "is_default": True, **fields}

    def on_disk(self, account: Mapping[str, Any] | None = None) -> list[Path]:
        """Return every file below the disk accounts, or one of them, also half-written ones."""
        below = f"*/{account['options']['directory']}/**/*" if account else "**/*"
        return sorted(path for path in (self.stack.data_dir / "files").glob(below) if path.is_file())

    def recover(self) -> None:
        """Do what a worker does after a crash, when its leases have run out."""
        self.shell("recover")

    def in_state(self, tenant: Tenant, kind: str, state: str) -> int:
        return int(self.shell("states", organization=tenant.organization)[kind].get(state, 0))

    def wait_for_uploads(self, tenant: Tenant, count: int) -> None:
        """Wait until so many uploads of the tenant are running."""
        wait_until(
            lambda: self.in_state(tenant, "files", "uploading") == count,
            seconds=PATIENCE_SECONDS,
            what=f"{count} running uploads",
        )

    @contextlib.contextmanager
    def locked_database(self) -> Iterator[None]:
        """Keep every writer waiting."""
        self.shell("lock_database")
        try:
            yield
        finally:
            self.shell("unlock_database")

    def assert_no_drift(self) -> None:
        assert self.shell("recount") == []


def naming(account: str | None) -> dict[str, str]:
    """Return the header that names an account."""
    return {} if account is None else {"x-tfy-provider-name": account}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_at(fake: FakeProvider, dialect: str = "openai") -> dict[str, str]:
    """Return what a provider holds: digests by remote id."""
    return {stored.remote_id: stored.sha256 for stored in fake.store(dialect)}
