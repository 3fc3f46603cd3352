"""Cohere's datasets, which stand in for files.

Source: cohere SDK 7.3.1 and docs.cohere.com, read 2026-11-23. A dataset is queued when it is created and
validated when it is asked for again. `keep_original_file` decides whether the bytes can be had back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from ..storage import StoredFile
from ..wire import JSON, Answer, MemoryBlob, bytes_answer, json_answer
from .base import VALID_KEY, Dialect, Request, Route, bearer_token, rfc3339
from .object_storage import check_signed, no_such_key
from .openai_files import DAY_SECONDS, MIB, random_letters

UPLOAD_TYPES = frozenset(
    {
        "embed-input",
        "reranker-finetune-input",
        "single-label-classification-finetune-input",
        "multi-label-classification-finetune-input",
        "chat-finetune-input",
        "batch-chat-input",
        "batch-openai-chat-input",
        "batch-embed-v2-input",
        "batch-chat-v2-input",
    }
)
AVRO_MAGIC = b"Obj\x01"
DATASET = r"/v1/datasets/([^/]+)"


class Cohere(Dialect):
    """`https://api.cohere.com`; `StoredFile.purpose` holds the dataset type."""

    name = "cohere"
    prefix = "/cohere"
    known_fields = frozenset({"data", "eval_data"})
    max_bytes = 1536 * MIB

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", r"/v1/datasets", self.create_dataset),
            Route("GET", r"/v1/datasets", self.list_datasets),
            Route("GET", r"/v1/datasets/usage", self.usage),
            Route("GET", DATASET, self.retrieve_dataset),
            Route("DELETE", DATASET, self.delete_dataset),
        )

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) != VALID_KEY:
            raise self.refuse(401, "invalid api token")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        return json_answer({"message": message, "id": "7f0c2d3e-1111-4222-8333-944455556666"}, status)

    def new_id(self) -> str:
        return "dataset-" + random_letters(6, "abcdefghijklmnopqrstuvwxyz0123456789")

    def create_dataset(self, request: Request) -> Answer:
        """Take the metadata from the query and the bytes from the form part `data`."""
        name, kind = request.argument("name"), request.argument("type")
        if not name:
            raise self.refuse(400, "name is required")
        if kind not in UPLOAD_TYPES:
            raise self.refuse(400, f"invalid dataset type: {kind}")
        part = self.read_form(request).file("data")
        if part is None:
            raise self.refuse(400, "data is required")
        if part.size_bytes > self.max_bytes:
            raise self.refuse(400, "dataset is too large")
        now = int(time.time())
        stored = self.store.add(
            self.new_id(),
            part.blob,
            filename=name,
            purpose=kind,
            created_at=now,
            expires_at=now + 30 * DAY_SECONDS,
            extra={
                "validation_status": "queued",
                "keeps_original": request.argument("keep_original_file") == "true",
            },
        )
        return json_answer({"id": stored.remote_id})

    def dataset_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        status = stored.extra.get("validation_status", "validated")
        body: dict[str, JSON] = {
            "id": stored.remote_id,
            "name": stored.filename,
            "created_at": rfc3339(stored.created_at, ".481"),
            "updated_at": rfc3339(stored.created_at, ".481"),
            "dataset_type": stored.purpose,
            "validation_status": status,
            "required_fields": [],
            "preserve_fields": [],
            "validation_warnings": [],
        }
        if status == "validated":
            body["dataset_parts"] = self._parts(stored)
        return body

    def _parts(self, stored: StoredFile) -> Sequence[JSON]:
        """Build the one part; its Avro form is larger than what was uploaded."""
        part: dict[str, JSON] = {
            "id": "part-0",
            "name": f"{stored.filename}-0.avro",
            "index": 0,
            "size_bytes": stored.size_bytes + len(AVRO_MAGIC),
            "num_rows": 1,
            "url": f"{self.storage_url}/{stored.remote_id}/avro?sig=fake",
            "samples": [],
        }
        if stored.extra.get("keeps_original", True):
            part["original_url"] = f"{self.storage_url}/{stored.remote_id}/original?sig=fake"
        return [part]

    def handle_storage(self, request: Request) -> Answer:
        check_signed(request, for_upload=False)
        _, _, remote_id, form = request.path.split("/")
        stored = self.store.get(remote_id)
        if stored is None or request.method not in ("GET", "HEAD"):
            raise no_such_key()
        if form == "original":
            return bytes_answer(stored.blob, range_header=request.headers.get("range"))
        return bytes_answer(MemoryBlob(AVRO_MAGIC))

    def find(self, remote_id: str) -> StoredFile:
        stored = self.store.get(remote_id)
        if stored is None or stored.is_expired:
            raise self.refuse(404, f"dataset with id {remote_id} not found")
        return stored

    def retrieve_dataset(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        stored = self.store.update(remote_id, validation_status="validated")
        return json_answer({"dataset": self.dataset_body(stored)})

    def delete_dataset(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer({})

    def usage(self, request: Request) -> Answer:
        return json_answer({"organization_usage": sum(each.size_bytes for each in self.store.ascending())})

    def list_datasets(self, request: Request) -> Answer:
        """Answer `limit` datasets behind `offset`; `before` and `after` are times."""
        kind, status = request.argument("datasetType"), request.argument("validationStatus")
        before, after = (self._time(request, name) for name in ("before", "after"))
        files = [
            each
            for each in self.store.ascending()[::-1]
            if kind in (None, each.purpose)
            and status in (None, each.extra.get("validation_status", "validated"))
            and (before is None or each.created_at < before)
            and (after is None or each.created_at > after)
        ]
        start = self.integer(request, "offset", 0)
        end = start + self.integer(request, "limit", 100)
        return json_answer({"datasets": [self.dataset_body(stored) for stored in files[start:end]]})

    def _time(self, request: Request, name: str) -> float | None:
        value = request.argument(name)
        if value is None:
            return None
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError as exc:
            raise self.refuse(400, f"{name} must be an ISO date-time") from exc
