"""What a soak runs: a gateway, its database and broker, four providers and two tenants."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tests.fake_provider import FakeProvider
from tests.faults.gateway import Shell, ShellError, Tenant
from tests.faults.proxy import FaultProxy
from tests.faults.stores import BUCKET, GCS, S3
from tests.processes import Process, descendants, wait_until
from tests.providers.stores import FakeGCS, Weed
from tests.servers import PostgreSQL, Redis, Server
from tests.soak.clients import Ledger
from tests.soak.holdings import ApiHolding, DiskHolding, GCSHolding, Holding, S3Holding
from tests.stack import Stack

Kind = Literal["sqlite", "postgresql"]
ServerT = TypeVar("ServerT", bound=Server)
QUOTA_BYTES = 400 * 1024 * 1024
LEASE_SECONDS = 4
PATIENCE_SECONDS = 120.0
ENVIRONMENT = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "UPLOAD_LEASE_SECONDS": "20",
    "PROVIDER_READ_TIMEOUT_SECONDS": "15",
    "PROVIDER_WRITE_TIMEOUT_SECONDS": "15",
    "CLEANUP_PROTECTION_SECONDS": "1",
    "BREAKER_SECONDS": "2",
    "UPLOADS_PER_MINUTE": "0",
    "KEY_SHARE": "75",
    "ORGANIZATION_SHARE": "75",
    "SYNC_INTERVAL_SECONDS": "60",
}


@dataclass
class Party:
    """A tenant with its accounts, and what its clients were told."""

    tenant: Tenant
    holdings: list[Holding]
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def accounts(self) -> list[str]:
        return [holding.name for holding in self.holdings]


class Orders:
    """An operator's shell, opened anew, once for each order, where its database was killed under it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._shell = Shell(stack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.close()

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Carry out an order of `tests.faults.shell`. Raises ShellError."""
        with self._lock:
            try:
                return self._shell(name, **arguments)
            except (ShellError, BrokenPipeError):
                self._shell.close()
                self._shell = Shell(self._stack)
                return self._shell(name, **arguments)


class World:
    """Everything, in a directory; with PostgreSQL the broker is a Redis, with SQLite a folder."""

    def __init__(self, directory: Path, kind: Kind) -> None:
        self.kind = kind
        self.directory = directory
        self._cleanup = contextlib.ExitStack()
        self.database: PostgreSQL | None = None
        self.broker: Redis | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        urls: dict[str, str] = {}
        if self.kind == "postgresql":
            self.database = self._serve(PostgreSQL(self.directory / "postgresql"))
            self.broker = self._serve(Redis(self.directory / "redis"))
            url = self.database.create_gateway_database("soak")
            urls = {"database_url": url, "broker_url": self.broker.url}
        self.s3 = self._serve(Weed(self.directory / "weed"))
        self.s3.client().create_bucket(Bucket=BUCKET)  # type: ignore[no-untyped-call]
        self.gcs = self._serve(FakeGCS(self.directory / "gcs"))
        self.gcs.create_bucket(BUCKET)
        self.stack = Stack(self.directory / "stack", environment=ENVIRONMENT, **urls)
        self._cleanup.callback(self.stack.stop)
        self.stack.prepare()
        for part in self.stack.processes:
            self.stack.start(part)
        self.stack.wait_ready()
        self.order, self.watching = (self._cleanup.enter_context(Orders(self.stack)) for _ in range(2))
        self.fakes = [self._cleanup.enter_context(FakeProvider()) for _ in range(2)]
        self.parties = [self._party(number) for number in range(2)]

    def _serve(self, server: ServerT) -> ServerT:
        server.prepare()
        self._cleanup.callback(server.stop)
        server.start()
        return server

    def _party(self, number: int) -> Party:
        s3 = S3(self.s3, self._cleanup.enter_context(FaultProxy(self.s3.port)), f"soak-{number}")
        gcs = GCS(self.gcs, self._cleanup.enter_context(FaultProxy(self.gcs.port)), f"soak-{number}")
        holdings: list[Holding] = [
            ApiHolding(f"api-{number}", self.fakes[number]),
            S3Holding(f"s3-{number}", s3),
            GCSHolding(f"gcs-{number}", gcs),
            DiskHolding(f"disk-{number}", self.stack.data_dir / "files", f"soak-{number}"),
        ]
        accounts = [
            {**holding.account(), "name": holding.name, "is_default": holding is holdings[0]}
            for holding in holdings
        ]
        limits = {"quota_bytes": QUOTA_BYTES}
        made = self.order("tenant", name=f"soak-{number}", accounts=accounts, limits=limits)
        return Party(Tenant(self.stack.url, made["organization"], made["key"]), holdings)

    @property
    def proxies(self) -> list[FaultProxy]:
        """What is between the gateway and its object stores."""
        stores = [h.store for p in self.parties for h in p.holdings if isinstance(h, S3Holding | GCSHolding)]
        return [store.proxy for store in stores]


def kill_tree(process: Process) -> None:
    """SIGKILL a server and all below it, groups of their own included, and wait for its end.

    What stands above the server, to run it as another user, is left to see it end: else nobody does, and its
    number looks taken.
    """
    root, *below = descendants(process.pid)
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_is_alive, below)), seconds=30, what="killed processes to end")
    if below:
        wait_until(lambda: not Path(f"/proc/{below[0]}").exists(), seconds=30, what=f"{root} to notice")
    process.kill()


def _is_alive(pid: int) -> bool:
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
