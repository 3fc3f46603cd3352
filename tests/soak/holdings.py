"""What a tenant's accounts really hold, asked behind the gateway's back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests

from tests.fake_provider import VALID_KEY, FakeProvider
from tests.faults.gateway import digest
from tests.faults.stores import BUCKET, GCS, S3
from tests.providers.stores import Weed

_PATIENCE_SECONDS = 20


class Holding(Protocol):
    """One account of a tenant, as its provider sees it."""

    name: str

    def account(self) -> dict[str, Any]:
        """Return the account's fields for the shell's order `tenant`."""
        ...

    def remote_ids(self) -> set[str]:
        """Return what is there, whoever put it there."""
        ...

    def sha256(self, remote_id: str) -> str:
        """Return the digest of what is there under this name."""
        ...

    def strays(self) -> int:
        """Return how many half-written files are left."""
        ...


@dataclass
class ApiHolding:
    """A provider with an API of OpenAI's kind."""

    name: str
    fake: FakeProvider

    def account(self) -> dict[str, Any]:
        options = {"base_url": self.fake.url("openai")}
        return {"driver": "openai", "options": options, "credentials": {"api_key": VALID_KEY}}

    def remote_ids(self) -> set[str]:
        return {stored.remote_id for stored in self.fake.store("openai")}

    def sha256(self, remote_id: str) -> str:
        return next(stored.sha256 for stored in self.fake.store("openai") if stored.remote_id == remote_id)

    def strays(self) -> int:
        return 0


@dataclass
class S3Holding:
    """A prefix of a bucket in S3."""

    name: str
    store: S3
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        server: Weed = self.store.server
        self._client = server.client()  # type: ignore[no-untyped-call]

    def account(self) -> dict[str, Any]:
        return self.store.account()

    def remote_ids(self) -> set[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=self.store.prefix
        )
        return {f"{BUCKET}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])}

    def sha256(self, remote_id: str) -> str:
        key = remote_id.removeprefix(f"{BUCKET}/")
        return digest(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def strays(self) -> int:
        return self.store.strays()


@dataclass
class GCSHolding:
    """A prefix of a bucket in GCS."""

    name: str
    store: GCS

    @property
    def _objects(self) -> str:
        return f"{self.store.server.endpoint_url}/storage/v1/b/{BUCKET}/o"

    def account(self) -> dict[str, Any]:
        return self.store.account()

    def remote_ids(self) -> set[str]:
        found: set[str] = set()
        query = {"prefix": self.store.prefix}
        while True:
            answer = requests.get(self._objects, params=query, timeout=_PATIENCE_SECONDS)
            answer.raise_for_status()
            page = answer.json()
            found |= {f"{BUCKET}/{entry['name']}" for entry in page.get("items", [])}
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]

    def sha256(self, remote_id: str) -> str:
        key = remote_id.removeprefix(f"{BUCKET}/").replace("/", "%2F")
        answer = requests.get(f"{self._objects}/{key}", params={"alt": "media"}, timeout=_PATIENCE_SECONDS)
        answer.raise_for_status()
        return digest(answer.content)

    def strays(self) -> int:
        return 0  # a session that nobody finishes is gone after a week, and costs nothing


@dataclass
class DiskHolding:
    """A folder on the gateway's own disk."""

    name: str
    files: Path
    directory: str

    def account(self) -> dict[str, Any]:
        return {"driver": "local", "options": {"directory": self.directory}}

    def _paths(self) -> dict[str, Path]:
        found = {}
        for root in self.files.glob(f"*/{self.directory}"):
            found |= {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        return found

    def remote_ids(self) -> set[str]:
        return {name for name in self._paths() if ".incoming" not in name and not name.endswith(".details")}

    def sha256(self, remote_id: str) -> str:
        return digest(self._paths()[remote_id].read_bytes())

    def strays(self) -> int:
        return sum(".incoming" in name for name in self._paths())
