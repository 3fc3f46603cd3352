"""xAI over REST. Source: docs.x.ai/developers/rest-api-reference/files, xai-sdk 1.21.0; read 2026-11-23."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer, bytes_answer, json_answer, text_answer
from .base import VALID_KEY, Request, bearer_token, masked, page_token
from .openai_files import MIB, OpenAIFilesDialect

BAD_FILENAME = re.compile(r'[\x00-\x1f\x7f\u2028\u2029";\\]')


class XAI(OpenAIFilesDialect):
    """`https://api.x.ai/v1`: a streamed form, and a `pagination_token` on every page, even the last."""

    name = "xai"
    prefix = "/xai/v1"
    known_fields = OpenAIFilesDialect.known_fields | {"expires_after"}
    jsonl_purposes = frozenset()
    purpose_is_required = False
    max_bytes = 50 * MIB
    default_limit = max_limit = 100

    def authenticate(self, request: Request) -> None:
        """Refuse a wrong key with 400, as the vendor does; only a missing one is a 401."""
        token = bearer_token(request.headers)
        if not token:
            raise self.refuse(401, "Missing credential.")
        if token != VALID_KEY:
            raise self.refuse(400, f"Incorrect API key provided: {masked(token)}.")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        if status == 413:
            return text_answer("length limit exceeded", 413)
        if status == 404:
            return json_answer({"error": {"code": "not_found", "message": message}}, 404)
        if status == 400:
            return json_answer({"code": "Client specified an invalid argument", "error": message}, 400)
        return json_answer({"code": status, "error": message}, status)

    def new_id(self) -> str:
        return f"file_{uuid.uuid4()}"

    def check_form(self, form: Form) -> FilePart:
        """Insist on text fields in front of the file: the vendor reads the body as a stream."""
        part = super().check_form(form)
        late = form.names()[form.index("file") + 1 :]
        if late:
            raise self.refuse(400, f"{late[0]} must come before file")
        if not part.filename or len(part.filename) > 255 or BAD_FILENAME.search(part.filename):
            raise self.refuse(400, "invalid filename")
        return part

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        seconds = form.text("expires_after")
        if seconds is None:
            return super().expiry(form, purpose, now)
        return now + self.checked_seconds(seconds, "expires_after")

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {
            **super().file_body(stored),
            "expires_at": stored.expires_at,
            "public_url": None,
            "public_url_expires_at": None,
        }

    def limit(self, request: Request, name: str = "limit") -> int:
        """Clamp instead of refusing."""
        return max(1, min(self.integer(request, name, self.default_limit), self.max_limit))

    def list_files(self, request: Request) -> Answer:
        start = self.offset_of(request.argument("pagination_token"))
        end = start + self.limit(request)
        files = self.ordered(request)[start:end]
        data = [self.file_body(stored) for stored in files]
        return json_answer({"data": data, "pagination_token": page_token(end)})

    def ordered(self, request: Request) -> list[StoredFile]:
        files = super().ordered(request)
        keys = {"filename": lambda each: each.filename, "size": lambda each: each.size_bytes}
        if key := keys.get(request.argument("sort_by") or ""):
            files = sorted(files, key=key, reverse=request.argument("order") != "asc")
        return files

    def download_file(self, request: Request, remote_id: str) -> Answer:
        stored = self.find(remote_id)
        if request.argument("format") == "text":
            return text_answer(f"extracted text of {stored.filename}")
        return bytes_answer(stored.blob)
