"""Real object stores as their owners see them, each behind a proxy that a test may break."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import requests

from tests.faults.proxy import FaultProxy
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY, FakeGCS, Weed

BUCKET = BUCKETS[0]


class Store(Protocol):
    """A real store as its owner sees it."""

    proxy: FaultProxy
    prefix: str

    def account(self) -> dict[str, Any]: ...

    def stored_keys(self) -> list[str]: ...

    def strays(self) -> int: ...

    def remove(self, key: str) -> None: ...


@dataclass
class S3:
    server: Weed
    proxy: FaultProxy
    prefix: str

    @property
    def _client(self) -> Any:
        return self.server.client()  # type: ignore[no-untyped-call]

    def account(self) -> dict[str, Any]:
        options = {"bucket": BUCKET, "prefix": self.prefix, "region": "us-east-1"}
        return {
            "name": f"s3-{self.prefix}",
            "driver": "bedrock",
            "options": {**options, "endpoint_url": f"http://127.0.0.1:{self.proxy.port}"},
            "credentials": {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
            "is_default": True,
        }

    def stored_keys(self) -> list[str]:
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def strays(self) -> int:
        listed = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix)
        return len(listed.get("Uploads", []))

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)


@dataclass
class GCS:
    server: FakeGCS
    proxy: FaultProxy
    prefix: str

    def account(self) -> dict[str, Any]:
        options = {"bucket": BUCKET, "prefix": self.prefix, "project": "test"}
        return {
            "name": f"gcs-{self.prefix}",
            "driver": "vertex",
            "options": {**options, "endpoint_url": f"http://127.0.0.1:{self.proxy.port}"},
            "is_default": True,
        }

    @property
    def _objects(self) -> str:
        return f"{self.server.endpoint_url}/storage/v1/b/{BUCKET}/o"

    def stored_keys(self) -> list[str]:
        listed = requests.get(self._objects, params={"prefix": self.prefix}, timeout=10).json()
        return [entry["name"] for entry in listed.get("items", [])]

    def strays(self) -> int:
        return 0  # a session that nobody finishes is gone after a week, and costs nothing

    def remove(self, key: str) -> None:
        requests.delete(f"{self._objects}/{key.replace('/', '%2F')}", timeout=10).raise_for_status()
