"""Anthropic in the dialect that is generally available since 2026-08-20.

Source: anthropic SDK 2.12.0 and platform.claude.com/docs, read 2026-11-23. The old beta header is refused:
it would change the shapes. A file made by a tool is planted with `extra={"downloadable": True}`.
"""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Mapping

from ..multipart import FilePart
from ..storage import StoredFile
from ..wire import JSON, Answer, bytes_answer, json_answer
from .base import VALID_KEY, Dialect, Request, Route, bearer_token, page_token, rfc3339
from .openai_files import DAY_SECONDS, FILE_ID, MIB, random_letters

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
BAD_FILENAME = re.compile(r'[<>:"|?*\\/\x00-\x1f]')
MAX_IDS = 100
PAGE_PREFIX = "page_"


class Anthropic(Dialect):
    """`https://api.anthropic.com`."""

    name = "anthropic"
    prefix = "/anthropic"
    known_fields = frozenset({"file", "expires_in_seconds"})
    max_bytes = 500 * MIB
    default_limit = 20
    max_limit = 1000

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", r"/v1/files", self.create_file),
            Route("GET", r"/v1/files", self.list_files),
            Route("GET", "/v1" + FILE_ID, self.retrieve_file),
            Route("GET", "/v1" + FILE_ID + "/content", self.download_file),
            Route("DELETE", "/v1" + FILE_ID, self.delete_file),
        )

    def authenticate(self, request: Request) -> None:
        """Take `x-api-key` or a bearer token, never both, and insist on `anthropic-version`."""
        keys = [key for key in (request.headers.get("x-api-key"), bearer_token(request.headers)) if key]
        if len(keys) > 1:
            raise self.refuse(400, "Send either x-api-key or Authorization, not both.")
        if keys != [VALID_KEY]:
            raise self.refuse(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise self.refuse(400, "anthropic-version: header is required")
        if "files-api-2025-04-14" in (request.headers.get("anthropic-beta") or ""):
            raise self.refuse(400, "the files-api-2025-04-14 dialect is not spoken here")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        error: dict[str, JSON] = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
        if code:
            error["details"] = {"error_code": code}
        return json_answer({"type": "error", "error": error, "request_id": "req_01Fake"}, status)

    def handle(self, request: Request) -> Answer:
        headers = (("request-id", "req_01Fake"), ("anthropic-workspace-id", "wrkspc_fake"))
        return super().handle(request).with_headers(*headers)

    def new_id(self) -> str:
        return "file_01" + random_letters(22)

    def create_file(self, request: Request) -> Answer:
        form = self.read_form(request)
        part = form.file("file")
        if part is None:
            raise self.refuse(400, "file: Field required")
        if part.size_bytes > self.max_bytes:
            raise self.refuse(413, "Request exceeds the maximum size")
        now = int(time.time())
        stored = self.store.add(
            self.new_id(),
            part.blob,
            filename=self._clean_filename(part),
            created_at=now,
            expires_at=self._expiry(form.text("expires_in_seconds"), now),
            extra={"mime_type": _mime_type(part)},
        )
        return json_answer(self.file_body(stored))

    def _clean_filename(self, part: FilePart) -> str:
        """Keep the last path component; an empty name becomes `unnamed`."""
        name = part.filename.rpartition("/")[2]
        if not name:
            return "unnamed" + (mimetypes.guess_extension(_mime_type(part)) or "")
        if len(name) > 255 or BAD_FILENAME.search(name):
            raise self.refuse(400, "filename: contains forbidden characters or is too long")
        return name

    def _expiry(self, seconds: str | None, now: int) -> int | None:
        if seconds is None:
            return None
        if not seconds.isdecimal() or not 3600 <= int(seconds) <= 90 * DAY_SECONDS:
            raise self.refuse(400, "expires_in_seconds: must be between 3600 and 7776000")
        return now + int(seconds)

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        expires_at = stored.expires_at
        return {
            "id": stored.remote_id,
            "type": "file",
            "filename": stored.filename,
            "mime_type": stored.extra.get("mime_type", "application/octet-stream"),
            "size_bytes": stored.size_bytes,
            "created_at": rfc3339_micros(stored.created_at),
            "downloadable": bool(stored.extra.get("downloadable")),
            "expires_at": None if expires_at is None else rfc3339_micros(expires_at),
        }

    def find(self, remote_id: str) -> StoredFile:
        """Return the file; its metadata stays readable for 30 days behind its expiry."""
        stored = self.store.get(remote_id)
        if stored is None:
            raise self.refuse(404, f"File `{remote_id}` not found.")
        return stored

    def retrieve_file(self, request: Request, remote_id: str) -> Answer:
        return json_answer(self.file_body(self.find(remote_id)))

    def download_file(self, request: Request, remote_id: str) -> Answer:
        stored = self.find(remote_id)
        if stored.is_expired:
            raise self.refuse(404, f"File `{remote_id}` has expired.", code="file_expired")
        if not stored.extra.get("downloadable"):
            raise self.refuse(400, f"File `{remote_id}` is not downloadable.", code="file_not_downloadable")
        return bytes_answer(stored.blob)

    def delete_file(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer({"id": remote_id, "type": "file_deleted"})

    def list_files(self, request: Request) -> Answer:
        """Answer newest first, expired ones included; `page` is opaque, `ids[]` picks."""
        if request.argument("before_id") or request.argument("after_id"):
            raise self.refuse(400, "before_id, after_id: use page")
        files = sorted(self.store.all(), key=lambda each: each.created_at)[::-1]
        if wanted := set(request.query.get("ids[]", ())):
            return self._pick(request, files, wanted)
        limit = self._limit(request)
        start = self.offset_of((request.argument("page") or "").removeprefix(PAGE_PREFIX))
        more = len(files) > start + limit
        page = [self.file_body(stored) for stored in files[start : start + limit]]
        return json_answer(
            {"data": page, "next_page": PAGE_PREFIX + page_token(start + limit) if more else None}
        )

    def _pick(self, request: Request, files: list[StoredFile], wanted: set[str]) -> Answer:
        if len(wanted) > MAX_IDS or request.argument("page") or request.argument("limit"):
            raise self.refuse(400, "ids: at most 100, and not together with page or limit")
        data = [self.file_body(stored) for stored in files if stored.remote_id in wanted]
        return json_answer({"data": data, "next_page": None})

    def _limit(self, request: Request) -> int:
        limit = self.integer(request, "limit", self.default_limit)
        if not 1 <= limit <= self.max_limit:
            raise self.refuse(400, f"limit: must be between 1 and {self.max_limit}")
        return limit


def rfc3339_micros(seconds: int) -> str:
    return rfc3339(seconds, ".481000")


def _mime_type(part: FilePart) -> str:
    """Detect the type from the name where the part has none: the server does so too."""
    return part.content_type or mimetypes.guess_type(part.filename)[0] or "application/octet-stream"
