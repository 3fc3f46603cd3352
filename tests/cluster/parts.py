"""The parts of a cluster: each a process of its own, which may be killed and started again."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from cryptography.fernet import Fernet

from tests.fake_provider import FakeProvider
from tests.faults.fronts import balanced
from tests.faults.gateway import Shell
from tests.faults.proxy import FaultProxy
from tests.faults.stores import BUCKET, GCS, S3
from tests.providers.stores import FakeGCS, Weed
from tests.servers import PostgreSQL, RabbitMQ, Redis, Server
from tests.soak.holdings import ApiHolding, GCSHolding, Holding, S3Holding
from tests.stack import Stack

Broker = Literal["redis", "rabbitmq"]
BROKERS: dict[Broker, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
ServerT = TypeVar("ServerT", bound=Server)
NODES = 2


class Cluster:
    """A running cluster in a directory.

    port: of nginx; 0 for a free one
    environment: settings of every node that differ from the defaults
    """

    def __init__(
        self,
        directory: Path,
        *,
        nginx: str,
        broker: Broker = "redis",
        port: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._nginx = nginx
        self._broker = broker
        self._port = port
        self._environment = environment or {}
        self._cleanup = contextlib.ExitStack()

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
        self.database = self._serve(PostgreSQL(self.directory / "postgresql"))
        self.broker = self._serve(BROKERS[self._broker](self.directory / "broker"))
        self.holdings = self._providers()
        self.nodes = self._nodes()
        self.nodes[0].prepare()
        self.nodes[0].manage("apply", str(self._configuration()))
        for node in self.nodes:
            for part in node.processes:
                node.start(part)
        for node in self.nodes:
            node.wait_ready()
        self.url = self._cleanup.enter_context(
            balanced(self._nginx, self.directory / "nginx", self.nodes, port=self._port)
        )
        self.shell = Shell(self.nodes[0])
        self._cleanup.callback(lambda: self.shell.close())

    def reopen_shell(self) -> None:
        """Begin a new shell, whose connection to the database is not broken."""
        self.shell.close()
        self.shell = Shell(self.nodes[0])

    def _serve(self, server: ServerT) -> ServerT:
        server.prepare()
        self._cleanup.callback(server.stop)
        server.start()
        return server

    def _providers(self) -> list[Holding]:
        self.fake = self._cleanup.enter_context(FakeProvider())
        weed = self._serve(Weed(self.directory / "weed"))
        weed.client().create_bucket(Bucket=BUCKET)  # type: ignore[no-untyped-call]
        gcs = self._serve(FakeGCS(self.directory / "gcs"))
        gcs.create_bucket(BUCKET)
        s3_proxy, gcs_proxy = (self._cleanup.enter_context(FaultProxy(server.port)) for server in (weed, gcs))
        return [
            ApiHolding("api", self.fake),
            S3Holding("s3", S3(weed, s3_proxy, "cluster")),
            GCSHolding("gcs", GCS(gcs, gcs_proxy, "cluster")),
        ]

    def _nodes(self) -> list[Stack]:
        """Describe hosts that have nothing in common but servers and secrets."""
        shared = {
            "SECRET_KEY": secrets.token_hex(32),
            "API_KEY_PEPPERS": secrets.token_hex(32),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "BOOTSTRAP_API_KEY": f"cluster-key-{secrets.token_hex(16)}",
            "BOOTSTRAP_ADMIN_PASSWORD": secrets.token_urlsafe(16),
            "PROXY_COUNT": "1",
            "SHUTDOWN_DRAIN_SECONDS": "5",
            "UPLOADS_PER_MINUTE": "0",
        }
        self.api_key = shared["BOOTSTRAP_API_KEY"]
        self.admin_password = shared["BOOTSTRAP_ADMIN_PASSWORD"]
        database_url = self.database.create_gateway_database("gateway")
        return [self._node(f"node-{number}", database_url, shared) for number in range(1, NODES + 1)]

    def _node(self, name: str, database_url: str, shared: dict[str, str]) -> Stack:
        node = Stack(
            self.directory / name,
            database_url=database_url,
            broker_url=self.broker.url,
            environment={**shared, **self._environment},
        )
        self._cleanup.callback(node.stop)
        return node

    def _configuration(self) -> Path:
        accounts = []
        for holding in self.holdings:
            fields = {"credentials": {}, **holding.account(), "name": holding.name}
            fields.pop("is_default", None)
            accounts.append({**fields, "default": holding is self.holdings[0], "list_freshness": None})
        path = self.directory / "config.yaml"  # JSON is YAML
        organizations = [{"name": "default", "provider_accounts": accounts}]
        path.write_text(json.dumps({"organizations": organizations}))
        return path
