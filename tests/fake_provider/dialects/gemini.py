"""The Gemini Developer API: resumable upload, 48 hours, and 403 where others say 404.

Source: google-genai 3.4.0, the public protos and ai.google.dev/api/files, read 2026-11-23.
A generated file is planted with `extra={"source": "GENERATED"}`; only such files can be downloaded.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..storage import DiskBlob, Store, StoredFile
from ..wire import JSON, Answer, bytes_answer, json_answer
from .base import VALID_KEY, Dialect, Request, Route, page_token, rfc3339
from .openai_files import DAY_SECONDS, MIB, random_letters

VERSION = r"/(v1|v1beta|v1alpha)"
GRANULARITY_BYTES = 8 * MIB
MAX_BYTES = 2048 * MIB
FILE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "28s"}
KEY_INVALID = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


@dataclass
class Session:
    """One resumable upload between its start and its finalize."""

    file_name: str
    display_name: str
    mime_type: str
    declared_bytes: int | None
    chunks: list[DiskBlob] = field(default_factory=list)

    @property
    def received_bytes(self) -> int:
        return sum(chunk.size_bytes for chunk in self.chunks)


class Gemini(Dialect):
    """`https://generativelanguage.googleapis.com`."""

    name = "gemini"
    prefix = "/gemini"
    default_limit = 10
    max_limit = 100

    def __init__(self, store: Store, storage_url: str, own_url: str) -> None:
        super().__init__(store, storage_url, own_url)
        self.sessions: dict[str, Session] = {}

    def reset(self) -> None:
        super().reset()
        self.sessions.clear()

    def routes(self) -> tuple[Route, ...]:
        one = VERSION + r"/files/([^/:]+)"
        return (
            Route("POST", "/upload" + VERSION + "/files", self.upload),
            Route("GET", VERSION + "/files", self.list_files),
            Route("GET", one, self.retrieve_file),
            Route("GET", one + ":download", self.download_file),
            Route("DELETE", one, self.delete_file),
        )

    def needs_key(self, request: Request) -> bool:
        """A session URL authorises itself."""
        return request.argument("upload_id") is None

    def authenticate(self, request: Request) -> None:
        key = request.headers.get("x-goog-api-key") or request.argument("key")
        if not key:
            raise self.refuse(403, "Method doesn't allow unregistered callers.")
        if key != VALID_KEY:
            raise self.refuse(400, "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        details: list[JSON] = []
        if code == "API_KEY_INVALID":
            details.append(KEY_INVALID)
        if status == 429:
            details.append(RETRY_INFO)
        error: Mapping[str, JSON] = {
            "code": status,
            "message": message,
            "status": STATUSES.get(status, "INTERNAL"),
            "details": details,
        }
        return json_answer({"error": error}, status)

    def new_id(self) -> str:
        return random_letters(12, LOWER)

    # Upload

    def upload(self, request: Request, version: str) -> Answer:
        upload_id = request.argument("upload_id")
        command = request.headers.get("x-goog-upload-command") or ""
        if upload_id is None:
            return self._start(request, version, command)
        session = self.sessions.get(upload_id)
        if session is None:
            raise self.refuse(404, "Upload session not found.")
        if command == "query":
            received = ("X-Goog-Upload-Size-Received", str(session.received_bytes))
            return _progress("active", received)
        if command == "cancel":
            del self.sessions[upload_id]
            return _progress("cancelled")
        return self._receive(request, upload_id, session, {each.strip() for each in command.split(",")})

    def _start(self, request: Request, version: str, command: str) -> Answer:
        headers = request.headers
        if command != "start" or headers.get("x-goog-upload-protocol") != "resumable":
            raise self.refuse(400, "Only the resumable protocol is spoken here.")
        declared = headers.get("x-goog-upload-header-content-length")  # go-genai's Files.Upload sends none
        if declared is not None and not (declared.isdecimal() and int(declared) <= MAX_BYTES):
            raise self.refuse(400, "X-Goog-Upload-Header-Content-Length is no number or over 2 GB.")
        metadata = self.read_json(request).get("file")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        display_name = str(metadata.get("displayName") or metadata.get("display_name") or "")
        if len(display_name) > 512:
            raise self.refuse(400, "displayName is over 512 characters.")
        upload_id = random_letters(40)
        self.sessions[upload_id] = Session(
            file_name=self._file_name(metadata.get("name")),
            display_name=display_name,
            mime_type=headers.get("x-goog-upload-header-content-type") or "application/octet-stream",
            declared_bytes=None if declared is None else int(declared),
        )
        url = f"{self.own_url}/upload/{version}/files?upload_id={upload_id}&upload_protocol=resumable"
        granularity = ("X-Goog-Upload-Chunk-Granularity", str(GRANULARITY_BYTES))
        return _progress("active", ("X-Goog-Upload-URL", url), granularity)

    def _file_name(self, wanted: JSON) -> str:
        if not wanted:
            return self.new_id()
        name = str(wanted).removeprefix("files/")
        if not FILE_NAME.fullmatch(name):
            raise self.refuse(400, f"Invalid file name: {name}")
        if self.store.get(name):
            raise self.refuse(409, f"File {name} already exists.")
        return name

    def _receive(self, request: Request, upload_id: str, session: Session, commands: set[str]) -> Answer:
        """Take one chunk. A chunk that is cut leaves the session where it was."""
        if "upload" not in commands or not commands <= {"upload", "finalize"}:
            raise self.refuse(400, "Unknown X-Goog-Upload-Command.")
        if request.headers.get("x-goog-upload-offset") != str(session.received_bytes):
            raise self.refuse(400, f"Wrong offset; {session.received_bytes} bytes were received.")
        chunk = self.read_blob(request, self.store.blobs.part_spool())
        is_last = "finalize" in commands
        if not is_last and chunk.size_bytes % GRANULARITY_BYTES:
            raise self.refuse(400, "A chunk that is not the last must be a multiple of the granularity.")
        session.chunks.append(chunk)
        if not is_last:
            return _progress("active")
        del self.sessions[upload_id]
        if session.declared_bytes not in {None, session.received_bytes}:
            raise self.refuse(400, f"{session.received_bytes} bytes came, not {session.declared_bytes}.")
        return self._finalize(session)

    def _finalize(self, session: Session) -> Answer:
        now = int(time.time())
        stored = self.store.add(
            session.file_name,
            self.store.blobs.join(session.chunks),
            filename=session.display_name,
            created_at=now,
            expires_at=now + 2 * DAY_SECONDS,
            extra={
                "mime_type": session.mime_type,
                "state": "PROCESSING" if session.mime_type.startswith("video/") else "ACTIVE",
            },
        )
        return json_answer({"file": self.file_body(stored)}, headers=[("X-Goog-Upload-Status", "final")])

    # One file

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        """Build a File; empty members are left out, as Google does."""
        uri = f"{self.own_url}/v1beta/files/{stored.remote_id}"
        source = stored.extra.get("source", "UPLOADED")
        body: dict[str, JSON] = {
            "name": f"files/{stored.remote_id}",
            "displayName": stored.filename,
            "mimeType": stored.extra.get("mime_type", "application/octet-stream"),
            "sizeBytes": str(stored.size_bytes),
            "createTime": rfc3339(stored.created_at, ".481337"),
            "updateTime": rfc3339(stored.created_at, ".481337"),
            "expirationTime": stored.expires_at and rfc3339(stored.expires_at, ".460911843"),
            "sha256Hash": base64.b64encode(bytes.fromhex(stored.sha256)).decode("ascii"),
            "uri": uri,
            "downloadUri": f"{uri}:download?alt=media" if source == "GENERATED" else None,
            "state": stored.extra.get("state", "ACTIVE"),
            "source": source,
        }
        return {key: value for key, value in body.items() if value}

    def find(self, remote_id: str) -> StoredFile:
        stored = self.store.get(remote_id)
        if stored is None or stored.is_expired:
            message = f"You do not have permission to access the File {remote_id} or it may not exist."
            raise self.refuse(403, message)
        return stored

    def retrieve_file(self, request: Request, version: str, remote_id: str) -> Answer:
        """Answer the file as it is now; whoever asks again finds a video processed."""
        answer = json_answer(self.file_body(self.find(remote_id)))
        self.store.update(remote_id, state="ACTIVE")
        return answer

    def download_file(self, request: Request, version: str, remote_id: str) -> Answer:
        stored = self.find(remote_id)
        if stored.extra.get("source") != "GENERATED" or request.argument("alt") != "media":
            raise self.refuse(400, f"File {remote_id} cannot be downloaded.")
        return bytes_answer(stored.blob)

    def delete_file(self, request: Request, version: str, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer({})

    def list_files(self, request: Request, version: str) -> Answer:
        size = self.integer(request, "pageSize", self.default_limit)
        if not 1 <= size <= self.max_limit:
            raise self.refuse(400, f"pageSize must be between 1 and {self.max_limit}.")
        start = self.offset_of(request.argument("pageToken"))
        end = start + size
        files = self.store.ascending()[::-1]
        body: dict[str, JSON] = {}
        if page := [self.file_body(stored) for stored in files[start:end]]:
            body["files"] = page
        if len(files) > end:
            body["nextPageToken"] = page_token(end)
        return json_answer(body)


def _progress(status: str, *headers: tuple[str, str]) -> Answer:
    return Answer(200, (("X-Goog-Upload-Status", status), *headers))
