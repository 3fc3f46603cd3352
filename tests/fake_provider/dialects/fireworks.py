"""Fireworks' datasets, which stand in for files.

Source: fireworks-ai SDK 1.2.28 (`resources/datasets.py`, `lib/dataset_upload.py`), read 2026-11-23. A dataset
exists from its creation on, empty and `UPLOADING`; the store shows it so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import PurePath
from urllib.parse import quote, unquote

from ..storage import DiskBlob, Store, StoredFile
from ..wire import JSON, Answer, bytes_answer, json_answer
from .base import VALID_KEY, Dialect, Request, Route, bearer_token, page_token, rfc3339
from .object_storage import check_signed, no_such_key
from .openai_files import MIB, random_letters

DATASETS = r"/v1/accounts/([^/]+)/datasets"
DATASET = DATASETS + r"/([^/:]+)"
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14, 504: 4}


class Fireworks(Dialect):
    """`https://api.fireworks.ai`; every account name is taken, all share one store."""

    name = "fireworks"
    prefix = "/fireworks"
    known_fields = frozenset({"file"})
    max_direct_bytes = 150 * MIB
    default_page_size = 50
    max_page_size = 200

    def __init__(self, store: Store, storage_url: str, own_url: str) -> None:
        super().__init__(store, storage_url, own_url)
        self.expected: dict[str, dict[str, int]] = {}
        self.shards: dict[str, dict[str, DiskBlob]] = {}

    def reset(self) -> None:
        super().reset()
        self.expected.clear()
        self.shards.clear()

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", DATASETS, self.create_dataset),
            Route("GET", DATASETS, self.list_datasets),
            Route("POST", DATASET + ":upload", self.upload_directly),
            Route("POST", DATASET + ":getUploadEndpoint", self.sign_uploads),
            Route("POST", DATASET + ":validateUpload", self.validate_upload),
            Route("GET", DATASET + ":getDownloadEndpoint", self.sign_downloads),
            Route("GET", DATASET, self.retrieve_dataset),
            Route("DELETE", DATASET, self.delete_dataset),
        )

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) != VALID_KEY:
            raise self.refuse(401, "The API key you provided is invalid.")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        return json_answer({"code": GRPC_CODES.get(status, 13), "message": message, "details": []}, status)

    def new_id(self) -> str:
        return "dataset-" + random_letters(8, "abcdefghijklmnopqrstuvwxyz0123456789")

    def create_dataset(self, request: Request, account: str) -> Answer:
        body = self.read_json(request)
        remote_id, dataset = body.get("datasetId"), body.get("dataset")
        if not isinstance(remote_id, str) or not isinstance(dataset, Mapping):
            raise self.refuse(400, "datasetId and dataset are required")
        if not str(dataset.get("exampleCount") or "").isdecimal() or "userUploaded" not in dataset:
            raise self.refuse(400, "dataset.exampleCount and dataset.userUploaded are required")
        if self.store.get(remote_id):
            raise self.refuse(409, f"dataset {remote_id} already exists")
        stored = self.store.add(
            remote_id,
            self.store.blobs.keep(b""),
            filename=str(dataset.get("displayName") or ""),
            created_at=int(time.time()),
            extra={
                "state": "UPLOADING",
                "exampleCount": str(dataset["exampleCount"]),
                "format": dataset.get("format", "FORMAT_UNSPECIFIED"),
            },
        )
        return json_answer(self.dataset_body(account, stored))

    def dataset_body(self, account: str, stored: StoredFile) -> Mapping[str, JSON]:
        return {
            "name": f"accounts/{account}/datasets/{stored.remote_id}",
            "displayName": stored.filename,
            "createTime": rfc3339(stored.created_at, ".481337"),
            "updateTime": rfc3339(stored.created_at),
            "state": stored.extra.get("state", "READY"),
            "status": {"code": "OK", "message": ""},
            "format": stored.extra.get("format", "FORMAT_UNSPECIFIED"),
            "exampleCount": stored.extra.get("exampleCount", "0"),
            "userUploaded": {},
        }

    # Upload

    def upload_directly(self, request: Request, account: str, remote_id: str) -> Answer:
        self.find(remote_id)
        part = self.read_form(request).file("file")
        if part is None:
            raise self.refuse(400, "file is required")
        self._check_file(part.filename, part.size_bytes)
        if part.size_bytes > self.max_direct_bytes:
            raise self.refuse(400, "file is over 150 MB")
        stored = self._fill(remote_id, {part.filename: part.blob})
        return json_answer(
            {
                "id": remote_id,
                "bytes": stored.size_bytes,
                "created_at": stored.created_at,
                "filename": part.filename,
                "object": "file",
                "purpose": "fine-tune",
            }
        )

    def sign_uploads(self, request: Request, account: str, remote_id: str) -> Answer:
        """Register file names and sizes (as strings); each call replaces what was registered before."""
        self.find(remote_id)
        sizes = self.read_json(request).get("filenameToSize")
        if not isinstance(sizes, Mapping) or not all(isinstance(each, str) for each in sizes.values()):
            raise self.refuse(400, "filenameToSize must map names to sizes in strings")
        for filename, size in sizes.items():
            self._check_file(filename, int(str(size)))
        self.expected[remote_id] = {filename: int(str(size)) for filename, size in sizes.items()}
        self.shards[remote_id] = {}
        return json_answer({"filenameToSignedUrls": self._signed_urls(remote_id, list(sizes))})

    def validate_upload(self, request: Request, account: str, remote_id: str) -> Answer:
        self.find(remote_id)
        self.read_json(request)
        shards = self.shards.get(remote_id, {})
        if {name: blob.size_bytes for name, blob in shards.items()} != self.expected.get(remote_id):
            raise self.refuse(400, "the uploaded files do not match the registered ones")
        self._fill(remote_id, shards)
        return json_answer({})

    def _check_file(self, filename: str, size_bytes: int) -> None:
        if PurePath(filename).suffix != ".jsonl":
            raise self.refuse(400, "only .jsonl files are taken")
        if size_bytes == 0:
            raise self.refuse(400, "the file is empty")

    def _fill(self, remote_id: str, shards: dict[str, DiskBlob]) -> StoredFile:
        """Make the dataset ready; its content is its shards in the order of their names."""
        stored = self.find(remote_id)
        blobs = [blob for _, blob in sorted(shards.items())]
        self.shards[remote_id] = shards
        return self.store.add(
            remote_id,
            blobs[0] if len(blobs) == 1 else self.store.blobs.join(blobs),
            filename=stored.filename,
            created_at=stored.created_at,
            extra={**stored.extra, "state": "READY"},
        )

    def _signed_urls(self, remote_id: str, filenames: list[str]) -> Mapping[str, JSON]:
        return {name: f"{self.storage_url}/{remote_id}/{quote(name, safe='')}?sig=fake" for name in filenames}

    def handle_storage(self, request: Request) -> Answer:
        check_signed(request, for_upload=request.method == "PUT")
        _, _, remote_id, filename = map(unquote, request.path.split("/"))
        if request.method == "PUT":
            if filename not in self.expected.get(remote_id, {}):
                raise no_such_key()
            self.shards[remote_id][filename] = self.read_blob(request, self.store.blobs.part_spool())
            return Answer(200)
        shards = self.shards.get(remote_id, {})
        stored = self.store.get(remote_id)
        if stored is None:
            raise no_such_key()
        return bytes_answer(shards.get(filename, stored.blob), range_header=request.headers.get("range"))

    # One dataset

    def find(self, remote_id: str) -> StoredFile:
        stored = self.store.get(remote_id)
        if stored is None:
            raise self.refuse(404, f"dataset {remote_id} not found")
        return stored

    def retrieve_dataset(self, request: Request, account: str, remote_id: str) -> Answer:
        return json_answer(self.dataset_body(account, self.find(remote_id)))

    def sign_downloads(self, request: Request, account: str, remote_id: str) -> Answer:
        stored = self.find(remote_id)
        if stored.extra.get("state", "READY") != "READY":
            raise self.refuse(400, f"dataset {remote_id} is not ready")
        names = sorted(self.shards.get(remote_id, {})) or [stored.filename]
        return json_answer({"filenameToSignedUrls": self._signed_urls(remote_id, names)})

    def delete_dataset(self, request: Request, account: str, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer({})

    def list_datasets(self, request: Request, account: str) -> Answer:
        size = min(self.integer(request, "pageSize", self.default_page_size), self.max_page_size)
        start = self.offset_of(request.argument("pageToken"))
        files = self.store.ascending()[::-1]
        page = [self.dataset_body(account, stored) for stored in files[start : start + size]]
        body: dict[str, JSON] = {"datasets": page}
        if len(files) > start + size:
            body["nextPageToken"] = page_token(start + size)
        return json_answer(body)
