"""The OpenAI Files contract, with the points at which its many followers differ as attributes and hooks.

Source: the published OpenAPI description (API 2.3.0, 2026-08-21) and the openai SDK 3.54.0, read 2026-11-23.
"""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer, bytes_answer, json_answer
from .base import SECOND_KEY, VALID_KEY, Dialect, Request, Route, bearer_token, masked

MIB = 1024 * 1024
DAY_SECONDS = 24 * 3600
MIN_EXPIRY_SECONDS = 3600
MAX_EXPIRY_SECONDS = 30 * DAY_SECONDS
FILE_ID = r"/files/([^/]+)"


@dataclass(frozen=True)
class Page:
    """One slice of a list, and whether more lies behind it."""

    files: Sequence[StoredFile]
    has_more: bool


class OpenAIFilesDialect(Dialect):
    """Upload, list, retrieve, content and delete as OpenAI words them.

    `upload_purposes` is None where a provider takes any label; `jsonl_purposes` insist on the suffix
    `.jsonl`. `lifetime_seconds` is what a file gets that names no expiry, None for ever.
    """

    known_fields = frozenset({"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"})
    upload_status = 200
    upload_purposes: frozenset[str] | None = None
    jsonl_purposes: frozenset[str] = frozenset({"batch", "fine-tune"})
    purpose_is_required = True
    max_bytes = 512 * MIB
    id_prefix = "file-"
    lifetime_seconds: int | None = None
    default_limit = 10_000
    max_limit = 10_000
    default_order = "desc"
    content_type = "application/octet-stream"
    status_after_upload: str | None = None
    status_later: str | None = None

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", r"/files", self.create_file),
            Route("GET", r"/files", self.list_files),
            Route("GET", FILE_ID, self.retrieve_file),
            Route("GET", FILE_ID + "/content", self.download_file),
            Route("DELETE", FILE_ID, self.delete_file),
        )

    def authenticate(self, request: Request) -> None:
        token = bearer_token(request.headers)
        if not token:
            raise self.refuse(401, "You didn't provide an API key.")
        if token not in {VALID_KEY, SECOND_KEY}:
            message = f"Incorrect API key provided: {masked(token)}."
            raise self.refuse(401, message, code="invalid_api_key")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        kind = "server_error" if status == 413 or status >= 500 else "invalid_request_error"
        return json_answer(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}, status
        )

    def new_id(self) -> str:
        return self.id_prefix + random_letters(22)

    # Upload

    def create_file(self, request: Request) -> Answer:
        form = self.read_form(request)
        part = self.check_form(form)
        purpose = form.text("purpose") or ""
        now = int(time.time())
        stored = self.store.add(
            self.new_id(),
            part.blob,
            filename=part.filename,
            purpose=purpose,
            created_at=now,
            expires_at=self.expiry(form, purpose, now),
            extra=self.extra_of(form, part),
        )
        return self.uploaded(stored)

    def check_form(self, form: Form) -> FilePart:
        """Return the file part of a form that the provider would take; refuse any other."""
        part = form.file("file")
        if part is None:
            raise self.refuse(400, "'file' is a required property", param="file")
        purpose = form.text("purpose")
        if purpose is None and self.purpose_is_required:
            raise self.refuse(400, "'purpose' is a required property", param="purpose")
        self.check_purpose(purpose)
        if part.size_bytes > self.max_bytes:
            raise self.too_large(part)
        if purpose in self.jsonl_purposes and PurePath(part.filename).suffix != ".jsonl":
            message = f"Invalid extension {PurePath(part.filename).suffix!r}; only .jsonl is supported."
            raise self.refuse(400, message)
        return part

    def check_purpose(self, purpose: str | None) -> None:
        if purpose is None or self.upload_purposes is None or purpose in self.upload_purposes:
            return
        accepted = ", ".join(repr(each) for each in sorted(self.upload_purposes))
        raise self.refuse(400, f"{purpose!r} is not one of [{accepted}] - 'purpose'", param="purpose")

    def too_large(self, part: FilePart) -> Exception:
        return self.refuse(
            413, f"Maximum content size limit ({self.max_bytes}) exceeded ({part.size_bytes} bytes read)"
        )

    def extra_of(self, form: Form, part: FilePart) -> dict[str, JSON]:
        return {"mime_type": part.content_type}

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        anchor, seconds = form.text("expires_after[anchor]"), form.text("expires_after[seconds]")
        if anchor is None and seconds is None:
            lifetime = self.default_lifetime(purpose)
            return None if lifetime is None else now + lifetime
        if anchor != "created_at":
            raise self.refuse(400, "expires_after.anchor must be 'created_at'", param="expires_after.anchor")
        return now + self.checked_seconds(seconds, "expires_after.seconds")

    def default_lifetime(self, purpose: str) -> int | None:
        return self.lifetime_seconds

    def checked_seconds(self, value: str | None, param: str) -> int:
        if value is None or not value.isdecimal():
            raise self.refuse(400, f"{param} must be an integer", param=param)
        if not MIN_EXPIRY_SECONDS <= int(value) <= MAX_EXPIRY_SECONDS:
            message = f"{param} must be between {MIN_EXPIRY_SECONDS} and {MAX_EXPIRY_SECONDS}"
            raise self.refuse(400, message, param=param)
        return int(value)

    def uploaded(self, stored: StoredFile) -> Answer:
        body = {**self.file_body(stored)}
        if self.status_after_upload:
            body["status"] = self.status_after_upload
        return json_answer(body, self.upload_status)

    # One file

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body: dict[str, JSON] = {
            "id": stored.remote_id,
            "object": "file",
            "bytes": stored.size_bytes,
            "created_at": stored.created_at,
            "filename": stored.filename,
            "purpose": stored.purpose,
        }
        if self.status_later:
            body["status"] = self.status_later
        return body

    def find(self, remote_id: str) -> StoredFile:
        stored = self.store.get(remote_id)
        if stored is None or stored.is_expired:
            raise self.refuse(404, f"No such File object: {remote_id}", param="id")
        return stored

    def retrieve_file(self, request: Request, remote_id: str) -> Answer:
        return json_answer(self.file_body(self.find(remote_id)))

    def download_file(self, request: Request, remote_id: str) -> Answer:
        return bytes_answer(self.find(remote_id).blob, self.content_type)

    def delete_file(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        self.store.remove(remote_id)
        return json_answer(self.deleted_body(remote_id))

    def deleted_body(self, remote_id: str) -> Mapping[str, JSON]:
        return {"id": remote_id, "object": "file", "deleted": True}

    # Lists

    def list_files(self, request: Request) -> Answer:
        """Answer a cursor page: `after`, `limit`, `order`, `purpose`."""
        page = self.page(request)
        return json_answer(
            {
                "object": "list",
                "data": [self.file_body(stored) for stored in page.files],
                "first_id": page.files[0].remote_id if page.files else None,
                "last_id": page.files[-1].remote_id if page.files else None,
                "has_more": page.has_more,
            }
        )

    def bare_list(self, files: Sequence[StoredFile]) -> Answer:
        """Answer `object` and `data` alone, as many followers do."""
        return json_answer({"object": "list", "data": [self.file_body(stored) for stored in files]})

    def page(self, request: Request) -> Page:
        files = self.ordered(request)
        purpose = request.argument("purpose")
        if purpose:
            files = [stored for stored in files if stored.purpose == purpose]
        after = request.argument("after")
        if after:
            files = self.behind(files, after)
        limit = self.limit(request)
        return Page(files[:limit], len(files) > limit)

    def ordered(self, request: Request) -> list[StoredFile]:
        order = request.argument("order") or self.default_order
        if order not in ("asc", "desc"):
            raise self.refuse(400, f"{order!r} is not one of ['asc', 'desc'] - 'order'", param="order")
        files = self.store.ascending()
        return files if order == "asc" else files[::-1]

    def behind(self, files: Sequence[StoredFile], after: str) -> list[StoredFile]:
        """Return what follows the file `after`. What an unknown cursor gives is undocumented: here a 400."""
        ids = [stored.remote_id for stored in files]
        if after not in ids:
            raise self.refuse(400, f"No such File object: {after}", param="after")
        return list(files[ids.index(after) + 1 :])

    def limit(self, request: Request, name: str = "limit") -> int:
        limit = self.integer(request, name, self.default_limit)
        if not 1 <= limit <= self.max_limit:
            raise self.refuse(400, f"{name} must be between 1 and {self.max_limit}", param=name)
        return limit


def random_letters(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def is_uuid(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None
