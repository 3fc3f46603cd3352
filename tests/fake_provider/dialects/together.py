"""Together AI: three ways to upload, no paging.

Source: together SDK 3.1.1 and the published OpenAPI document (2026-04-28), read 2026-11-23. A 409 for bytes
that are already there is given on the checksum alone; what else the vendor compares is not documented.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from ..storage import DiskBlob, Store, StoredFile
from ..wire import JSON, Answer, RefusedError, bytes_answer, json_answer
from .base import VALID_KEY, Dialect, Request, Route, bearer_token
from .object_storage import check_signed, no_such_key
from .openai_files import FILE_ID

PURPOSES = frozenset(
    {"fine-tune", "batch-api", "eval", "calibration", "eval-sample", "eval-output", "eval-summary"}
)
EXTENSIONS = frozenset({".jsonl", ".csv", ".parquet"})
MAX_PARTS = 250
SIGNATURE = "sig=fake"


@dataclass
class Slot:
    """A file that was announced and whose bytes are not confirmed yet; `parts` are by number, from 1."""

    file_id: str
    filename: str
    purpose: str
    file_type: str
    checksum: str
    upload_id: str = ""
    parts: dict[int, DiskBlob] = field(default_factory=dict)


class Together(Dialect):
    """`https://api.together.ai`."""

    name = "together"
    prefix = "/together"
    known_fields = frozenset({"purpose", "file_name", "file", "file_type", "checksum"})

    def __init__(self, store: Store, storage_url: str, own_url: str) -> None:
        super().__init__(store, storage_url, own_url)
        self.slots: dict[str, Slot] = {}

    def reset(self) -> None:
        super().reset()
        self.slots.clear()

    def routes(self) -> tuple[Route, ...]:
        one = "/v1" + FILE_ID
        return (
            Route("POST", r"/v1/files/upload", self.upload_directly),
            Route("POST", r"/v1/files", self.announce),
            Route("POST", one + "/preprocess", self.preprocess),
            Route("POST", r"/v1/files/multipart/initiate", self.initiate_parts),
            Route("POST", r"/v1/files/multipart/complete", self.complete_parts),
            Route("POST", r"/v1/files/multipart/abort", self.abort_parts),
            Route("GET", r"/v1/files", self.list_files),
            Route("GET", one, self.retrieve_file),
            Route("GET", one + "/content", self.download_file),
            Route("DELETE", one, self.delete_file),
        )

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) != VALID_KEY:
            raise self.refuse(401, "Invalid API key provided.", code="invalid_api_key")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return json_answer(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}, status
        )

    def new_id(self) -> str:
        return f"file-{uuid.uuid4()}"

    # Flow A: one request

    def upload_directly(self, request: Request) -> Answer:
        form = self.read_form(request)
        part = form.file("file")
        if part is None:
            raise self.refuse(400, "file is required", param="file")
        slot = self._slot({name: form.text(name) for name in ("purpose", "file_name", "file_type")})
        return json_answer(self.file_body(self._keep(slot, part.blob), "PENDING"))

    # Flow B: announce, PUT to storage, preprocess

    def announce(self, request: Request) -> Answer:
        form = self.read_form(request)
        if form.file("file"):
            raise self.refuse(400, "this endpoint takes no bytes", param="file")
        fields = ("purpose", "file_name", "file_type", "checksum")
        slot = self._announced({name: form.text(name) for name in fields})
        location = f"{self.storage_url}/{slot.file_id}?{SIGNATURE}"
        return Answer(302, (("Location", location), ("X-Together-File-Id", slot.file_id)))

    def preprocess(self, request: Request, file_id: str) -> Answer:
        slot = self.slots.get(file_id)
        if slot is None or 1 not in slot.parts:
            raise self.refuse(404, f"File not found: {file_id}")
        blob = slot.parts[1]
        if blob.sha256 != slot.checksum:
            raise self.refuse(400, "checksum does not match", param="checksum")
        return json_answer(self.file_body(self._keep(slot, blob), "PENDING"))

    # Flow C: parts

    def initiate_parts(self, request: Request) -> Answer:
        body = self.read_json(request)
        count = body.get("num_parts")
        if not isinstance(count, int) or not 1 <= count <= MAX_PARTS:
            raise self.refuse(400, f"num_parts must be between 1 and {MAX_PARTS}", param="num_parts")
        slot = self._announced(body)
        slot.upload_id = f"upl-{uuid.uuid4().hex}"
        parts: Sequence[JSON] = [
            {
                "PartNumber": number,
                "URL": f"{self.storage_url}/{slot.file_id}/{number}?{SIGNATURE}",
                "Headers": {},
            }
            for number in range(1, count + 1)
        ]
        return json_answer({"upload_id": slot.upload_id, "file_id": slot.file_id, "parts": parts})

    def complete_parts(self, request: Request) -> Answer:
        body = self.read_json(request)
        slot = self._multipart_slot(body)
        listed = body.get("parts")
        sent = [
            (each.get("part_number"), each.get("etag"))
            for each in (listed if isinstance(listed, list) else [])
            if isinstance(each, Mapping)
        ]
        if not sent or sent != [(number, _etag(blob)) for number, blob in sorted(slot.parts.items())]:
            raise self.refuse(400, "parts do not match what was uploaded", param="parts")
        blob = self.store.blobs.join([blob for _, blob in sorted(slot.parts.items())])
        return json_answer({"file": self.file_body(self._keep(slot, blob), "PENDING")})

    def abort_parts(self, request: Request) -> Answer:
        del self.slots[self._multipart_slot(self.read_json(request)).file_id]
        return json_answer({})

    def _multipart_slot(self, body: Mapping[str, JSON]) -> Slot:
        slot = self.slots.get(str(body.get("file_id")))
        if slot is None or slot.upload_id != body.get("upload_id"):
            raise self.refuse(404, "upload not found")
        return slot

    def handle_storage(self, request: Request) -> Answer:
        """Take the bytes of a slot, or of one part of it: `PUT /together/<file id>[/<part number>]`."""
        check_signed(request, for_upload=True)
        _, _, file_id, *number = request.path.split("/")
        slot = self.slots.get(file_id)
        if slot is None or request.method != "PUT":
            raise no_such_key()
        spool = self.store.blobs.part_spool() if number else self.store.blobs.spool()
        blob = self.read_blob(request, spool)
        slot.parts[int(number[0]) if number else 1] = blob
        return Answer(200, (("ETag", f'"{_etag(blob)}"'),))

    # What the flows share

    def _announced(self, fields: Mapping[str, JSON]) -> Slot:
        slot = self._slot(fields)
        if len(slot.checksum) != 64:
            raise self.refuse(400, "checksum must be a hexadecimal SHA-256", param="checksum")
        twins = [stored.remote_id for stored in self.store.all() if stored.sha256 == slot.checksum]
        if twins:
            raise RefusedError(json_answer({"file_id": twins[0]}, 409))
        self.slots[slot.file_id] = slot
        return slot

    def _slot(self, fields: Mapping[str, JSON]) -> Slot:
        purpose, filename = str(fields.get("purpose") or ""), str(fields.get("file_name") or "")
        if purpose not in PURPOSES:
            raise self.refuse(400, f"unknown purpose {purpose!r}", param="purpose")
        if PurePath(filename).suffix not in EXTENSIONS:
            raise self.refuse(400, "file_name must end in .jsonl, .csv or .parquet", param="file_name")
        file_type, checksum = str(fields.get("file_type") or "jsonl"), str(fields.get("checksum") or "")
        return Slot(self.new_id(), filename, purpose, file_type, checksum)

    def _keep(self, slot: Slot, blob: DiskBlob) -> StoredFile:
        self.slots.pop(slot.file_id, None)
        return self.store.add(
            slot.file_id,
            blob,
            filename=slot.filename,
            purpose=slot.purpose,
            created_at=int(time.time()),
            extra={"file_type": slot.file_type},
        )

    def file_body(self, stored: StoredFile, processing_status: str = "COMPLETED") -> Mapping[str, JSON]:
        return {
            "id": stored.remote_id,
            "object": "file",
            "created_at": stored.created_at,
            "filename": stored.filename,
            "bytes": stored.size_bytes,
            "purpose": stored.purpose,
            "FileType": stored.extra.get("file_type", "jsonl"),
            "processing_status": processing_status,
        }

    def find(self, remote_id: str) -> StoredFile:
        stored = self.store.get(remote_id)
        if stored is None:
            raise self.refuse(404, "File not found")
        return stored

    def list_files(self, request: Request) -> Answer:
        return json_answer({"data": [self.file_body(stored) for stored in self.store.ascending()]})

    def retrieve_file(self, request: Request, remote_id: str) -> Answer:
        return json_answer(self.file_body(self.find(remote_id)))

    def download_file(self, request: Request, remote_id: str) -> Answer:
        return bytes_answer(self.find(remote_id).blob, range_header=request.headers.get("range"))

    def delete_file(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer({"id": remote_id, "deleted": True})


def _etag(blob: DiskBlob) -> str:
    return blob.sha256[:32]
