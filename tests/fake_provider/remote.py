"""The same methods as `FakeProvider`, for one that runs as a process of its own."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from .gate import PATIENCE_SECONDS
from .records import RecordedRequest
from .script import Behaviour, Match
from .server import HOST, PREFIXES
from .storage import StoredFile
from .wire import JSON


@dataclass(frozen=True)
class RemoteBlob:
    """Content that is fetched when it is asked for."""

    fake: RemoteFakeProvider
    dialect: str
    remote_id: str
    size_bytes: int

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        query = urlencode({"dialect": self.dialect, "remote_id": self.remote_id})
        yield self.fake.control("GET", f"content?{query}")[start:end]


class RemoteFakeProvider:
    """Speaks to `python -m tests.fake_provider` over its control routes; see `FakeProvider` for the verbs."""

    def __init__(self, port: int, storage_port: int) -> None:
        self.port = port
        self.root = f"http://{HOST}:{port}"
        self.storage_root = f"http://{HOST}:{storage_port}"

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Call one control route. Raises TimeoutError and ValueError as the verb behind it does."""
        connection = http.client.HTTPConnection(HOST, self.port)
        try:
            connection.request(method, f"/_control/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status == 408:
            raise TimeoutError(data.decode())
        if answer.status != 200:
            raise ValueError(data.decode())
        return data

    def _get(self, path: str) -> Any:
        return json.loads(self.control("GET", path))

    def _post(self, path: str, **body: Any) -> Any:
        return json.loads(self.control("POST", path, body))

    def url(self, dialect: str) -> str:
        return self.root + PREFIXES[dialect]

    @property
    def requests(self) -> list[RecordedRequest]:
        return [RecordedRequest.from_json(row) for row in self._get("requests")]

    def store(self, dialect: str) -> list[StoredFile]:
        return [self._stored(dialect, row) for row in self._get(f"store?{urlencode({'dialect': dialect})}")]

    def _stored(self, dialect: str, row: Mapping[str, Any]) -> StoredFile:
        stored = StoredFile(**row)
        return replace(stored, blob=RemoteBlob(self, dialect, stored.remote_id, stored.size_bytes))

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
        row = self._post(
            "files",
            dialect=dialect,
            filename=filename,
            content=base64.b64encode(content).decode("ascii"),
            purpose=purpose,
            remote_id=remote_id,
            created_at=created_at,
            expires_at=expires_at,
            extra=extra or {},
        )
        return self._stored(dialect, row)

    def remove_file(self, dialect: str, remote_id: str) -> bool:
        return bool(self._post("remove", dialect=dialect, remote_id=remote_id))

    def script(self, match: Match, behaviour: Behaviour) -> None:
        self._post("script", match=match, behaviour=behaviour.to_json())

    def unused_behaviours(self) -> int:
        return int(self._get("unused"))

    def release(self) -> None:
        self._post("release")

    def wait_until_paused(self, count: int = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        self._post("wait-until-paused", count=count, timeout_seconds=timeout_seconds)

    def wait_until_idle(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        self._post("wait-until-idle", timeout_seconds=timeout_seconds)

    def reset(self) -> None:
        self._post("reset")
