"""The fake provider with its two loopback listeners."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from .application import Application
from .dialects import DIALECTS
from .gate import PATIENCE_SECONDS
from .handler import Handler
from .records import RecordedRequest
from .script import Behaviour, Match
from .storage import StoredFile
from .wire import JSON

HOST = "127.0.0.1"
PREFIXES = {dialect.name: dialect.prefix for dialect in DIALECTS}


class FakeServer(ThreadingHTTPServer):
    """One listener; `app` is set before the first request is accepted."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    app: Application

    def __init__(self, port: int, *, is_storage: bool) -> None:
        super().__init__((HOST, port), Handler)
        self.is_storage = is_storage
        self.connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def close(self) -> None:
        """Stop accepting and cut every open connection."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class FakeProvider:
    """Every provider's Files API on one port of 127.0.0.1, for use in the process of a test.

    A second port plays the storage hosts that signed URLs point to, so that a client which follows one
    with its API credential is found out. `discard_bytes` keeps only size and SHA-256 of uploads.
    """

    def __init__(self, *, port: int = 0, discard_bytes: bool = False) -> None:
        self._api = FakeServer(port, is_storage=False)
        self._storage = FakeServer(0, is_storage=True)
        self._directory = tempfile.TemporaryDirectory(prefix="fake-provider-")
        self.app = Application(
            Path(self._directory.name), self._api.url, self._storage.url, discard_bytes=discard_bytes
        )
        self._api.app = self._storage.app = self.app
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            for server in (self._api, self._storage)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self.app.gate.open_for_good()
        for server, thread in zip((self._api, self._storage), self._threads, strict=True):
            server.close()
            thread.join()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> str:
        """Scheme, host and port, for clients that add a provider's whole path themselves."""
        return self._api.url

    @property
    def storage_root(self) -> str:
        """The same of the listener behind signed URLs: another origin on loopback."""
        return self._storage.url

    @property
    def port(self) -> int:
        return self._api.server_port

    @property
    def storage_port(self) -> int:
        return self._storage.server_port

    def url(self, dialect: str) -> str:
        """Return the base URL of `dialect`, as the provider's own reference names it."""
        return self.root + PREFIXES[dialect]

    @contextlib.contextmanager
    def second_address(self) -> Iterator[str]:
        """Serve the same files on another port, and yield its root: a name that no spelling gives away."""
        server = FakeServer(0, is_storage=False)
        server.app = self.app
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.close()
            thread.join()

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order of arrival; those to the control routes are left out."""
        return self.app.requests

    def store(self, dialect: str) -> list[StoredFile]:
        """Return what `dialect` holds, in order of arrival."""
        return self.app.dialects[dialect].store.all()

    def add_file(
        self,
        dialect: str,
        *,
        filename: str,
        content: bytes = b"",
        purpose: str = "",
        remote_id: str | None = None,
        created_at: int | None = None,
        expires_at: int | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> StoredFile:
        """Plant a file that was made elsewhere; `extra` as the dialect's module says."""
        return self.app.dialects[dialect].plant(
            filename=filename,
            content=content,
            purpose=purpose,
            remote_id=remote_id,
            created_at=created_at,
            expires_at=expires_at,
            extra=extra or {},
        )

    def remove_file(self, dialect: str, remote_id: str) -> bool:
        """Take a file away behind everybody's back; False when there was none."""
        return self.app.dialects[dialect].store.remove(remote_id)

    def script(self, match: Match, behaviour: Behaviour) -> None:
        """Treat requests that `match` as `behaviour` says; earlier entries go first until used up."""
        self.app.scripted.add(match, behaviour)

    def unused_behaviours(self) -> int:
        """Count the scripted uses that no request has met yet; those without end are not counted."""
        return self.app.scripted.unused()

    def release(self) -> None:
        """Let every paused or hanging request go on."""
        self.app.gate.release()

    def wait_until_paused(self, count: int = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when `count` requests are paused or hanging. Raises TimeoutError."""
        self.app.gate.wait_until_held(count, timeout_seconds)

    def wait_until_idle(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when no request is being worked on. Raises TimeoutError."""
        self.app.in_flight.wait_until_idle(timeout_seconds)

    def reset(self) -> None:
        """Forget files, requests and script."""
        self.app.reset()
