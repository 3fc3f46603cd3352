"""OpenAI followers that differ in a knob or two.

Source: the vendors' public reference pages and SDKs (zai-sdk 0.2.3, perplexityai 0.46.1), read 2026-11-23.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer, json_answer, text_answer
from .base import Request, Route
from .openai_files import DAY_SECONDS, MIB, OpenAIFilesDialect

FILE_AND_PURPOSE = frozenset({"file", "purpose"})
IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")


class Moonshot(OpenAIFilesDialect):
    """`https://api.moonshot.ai/v1`: content is the text extracted from a document, never its bytes."""

    name = "moonshot"
    prefix = "/moonshot/v1"
    known_fields = FILE_AND_PURPOSE
    upload_purposes = frozenset({"file-extract", "image", "video", "batch"})
    max_bytes = 100 * MIB
    status_after_upload = status_later = "ready"

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {**super().file_body(stored), "status_details": ""}

    def list_files(self, request: Request) -> Answer:
        return self.bare_list(self.store.ascending())

    def download_file(self, request: Request, remote_id: str) -> Answer:
        stored = self.find(remote_id)
        if stored.purpose != "file-extract":
            raise self.refuse(400, f"file {remote_id} has no extracted text")
        return text_answer(f"extracted text of {stored.filename}")


class DashScope(OpenAIFilesDialect):
    """`https://dashscope.aliyuncs.com/compatible-mode/v1`."""

    name = "dashscope"
    prefix = "/dashscope/compatible-mode/v1"
    known_fields = FILE_AND_PURPOSE
    upload_purposes = frozenset({"file-extract", "batch", "fine-tune"})
    max_bytes = 500 * MIB
    id_prefix = "file-batch-"
    status_after_upload = status_later = "processed"

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None


class Zhipu(OpenAIFilesDialect):
    """`https://open.bigmodel.cn/api/paas/v4`: there is no retrieve; the one order is `created_at`."""

    name = "zhipu"
    prefix = "/zhipu/api/paas/v4"
    known_fields = FILE_AND_PURPOSE | {"upload_detail", "knowledge_id", "sentence_size"}
    upload_purposes = frozenset(
        {"batch", "fine-tune", "retrieval", "voice-clone-input", "agent", "code-interpreter"}
    )
    max_bytes = 100 * MIB
    default_limit = 20
    max_limit = 100

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for route in super().routes() if route.action != self.retrieve_file)

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return now + 180 * DAY_SECONDS if purpose == "agent" else None

    def ordered(self, request: Request) -> list[StoredFile]:
        if request.argument("order") not in (None, "created_at"):
            raise self.refuse(400, "order must be created_at", param="order")
        return self.store.ascending()

    def list_files(self, request: Request) -> Answer:
        page = self.page(request)
        data = [self.file_body(stored) for stored in page.files]
        return json_answer({"object": "list", "data": data, "has_more": page.has_more})


class SiliconFlow(OpenAIFilesDialect):
    """`https://api.siliconflow.cn/v1`: upload and list only, in an envelope; some errors are bare strings."""

    name = "siliconflow"
    prefix = "/siliconflow/v1"
    known_fields = FILE_AND_PURPOSE
    upload_purposes = frozenset({"batch"})
    default_limit = 10

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST", r"/files", self.create_file), Route("GET", r"/files", self.list_files))

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        if status == 401:
            return json_answer("Invalid token", 401)
        if status == 404:
            return json_answer("404 page not found", 404)
        number = 50505 if status == 503 else 20012
        return json_answer({"code": number, "message": message, "data": None}, status)

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None

    def _envelope(self, data: JSON) -> Answer:
        return json_answer({"code": 20000, "message": "Ok", "status": True, "data": data})

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body = {**super().file_body(stored)}
        body["createdAt"] = body.pop("created_at")
        return body

    def uploaded(self, stored: StoredFile) -> Answer:
        return self._envelope(self.file_body(stored))

    def list_files(self, request: Request) -> Answer:
        """Answer the newest `limit` files; there is no cursor."""
        purpose = request.argument("purpose")
        if purpose != "batch":
            raise self.refuse(400, "The purpose parameter is required.")
        files = [each for each in self.store.ascending()[::-1] if each.purpose == purpose]
        data = [self.file_body(stored) for stored in files[: self.limit(request)]]
        return self._envelope({"object": "list", "data": data})


class Novita(OpenAIFilesDialect):
    """`https://api.novita.ai/openai/v1` (PPIO documents the same): `code` in the list is a string."""

    name = "novita"
    prefix = "/novita/openai/v1"
    known_fields = FILE_AND_PURPOSE
    upload_purposes = frozenset({"batch"})
    lifetime_seconds = 15 * DAY_SECONDS

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body = {**super().file_body(stored), "metadata": {"total_requests": 0}}
        if stored.purpose == "batch_output":
            body["expires_at"] = stored.expires_at
        return body

    def list_files(self, request: Request) -> Answer:
        data = [self.file_body(stored) for stored in self.store.ascending()]
        return json_answer({"code": "200", "message": "success", "data": data})


class Perplexity(OpenAIFilesDialect):
    """`https://api.perplexity.ai/v1`: 30 days for every file, and JSONL is checked on upload."""

    name = "perplexity"
    prefix = "/perplexity/v1"
    known_fields = FILE_AND_PURPOSE
    upload_purposes = frozenset({"batch"})
    max_bytes = 200 * MIB
    lifetime_seconds = 30 * DAY_SECONDS
    default_limit = 20
    max_limit = 100
    status_after_upload = status_later = "processed"

    def check_form(self, form: Form) -> FilePart:
        part = super().check_form(form)
        if any(name.startswith("expires_after") for name in form.names()):
            raise self.refuse(400, "expires_after is not supported", param="expires_after")
        if self.store.blobs.keeps_bytes:
            self._check_lines(part)
        return part

    def _check_lines(self, part: FilePart) -> None:
        lines = b"".join(part.blob.chunks()).splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                json.loads(line)
            except ValueError as exc:
                raise self.refuse(400, f"Line {number} is not valid JSON", param="file") from exc

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {**super().file_body(stored), "expires_at": stored.expires_at}


class DeepSeek(OpenAIFilesDialect):
    """`https://api.deepseek.com`: no `/v1`; documents want `purpose` in front of `file`."""

    name = "deepseek"
    prefix = "/deepseek"
    upload_purposes = frozenset({"user_data", "text_recognition", "rich_layout_recognition"})
    max_bytes = 100 * MIB
    max_image_bytes = 64 * MIB
    id_prefix = "file-api-"
    default_limit = max_limit = 1000

    def check_form(self, form: Form) -> FilePart:
        part = super().check_form(form)
        if form.text("purpose") != "user_data":
            if form.index("file") < form.index("purpose"):
                raise self.refuse(400, "purpose must come before file", param="purpose")
            return part
        if part.size_bytes > self.max_image_bytes:
            raise self.too_large(part)
        if self.store.blobs.keeps_bytes and not b"".join(part.blob.chunks(0, 8)).startswith(IMAGE_STARTS):
            raise self.refuse(400, "unsupported image format", param="file")
        return part

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        """Keep the file for good unless both members of `expires_after` are there."""
        if form.text("expires_after[anchor]") is None or form.text("expires_after[seconds]") is None:
            return None
        return super().expiry(form, purpose, now)

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body = super().file_body(stored)
        return body if stored.expires_at is None else {**body, "expires_at": stored.expires_at}


class Ark(OpenAIFilesDialect):
    """`https://ark.cn-beijing.volces.com/api/v3`: no content; `expire_at`; processing, then active."""

    name = "ark"
    prefix = "/ark/api/v3"
    known_fields = FILE_AND_PURPOSE | {"expire_at", "preprocess_configs[video][fps]"}
    upload_purposes = frozenset({"user_data"})
    lifetime_seconds = 7 * DAY_SECONDS
    status_after_upload = "processing"
    status_later = "active"

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for route in super().routes() if route.action != self.download_file)

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        value = form.text("expire_at")
        if value is None:
            return now + 7 * DAY_SECONDS
        if not value.isdecimal() or not now + DAY_SECONDS - 60 <= int(value) <= now + 30 * DAY_SECONDS:
            raise self.refuse(400, "expire_at must lie 1 to 30 days ahead", param="expire_at")
        return int(value)

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {
            **super().file_body(stored),
            "expire_at": stored.expires_at,
            "mime_type": stored.extra.get("mime_type"),
        }


class OpenRouter(OpenAIFilesDialect):
    """`https://openrouter.ai/api/v1` with its own storage and its own shape.

    Source: openrouter SDK 1.3.84, read 2026-11-23. `purpose` is not among its form fields.
    """

    name = "openrouter"
    prefix = "/openrouter/api/v1"
    known_fields = frozenset({"file"})
    jsonl_purposes = frozenset()
    purpose_is_required = False
    default_limit = max_limit = 1000
    default_order = "asc"

    def check_form(self, form: Form) -> FilePart:
        part = super().check_form(form)
        if part.size_bytes == 0:
            raise self.refuse(400, "The file is empty.")
        return part

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        return json_answer({"error": {"code": status, "message": message}}, status)

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {
            "_shape": "openrouter",
            "id": stored.remote_id,
            "type": "file",
            "filename": stored.filename,
            "mime_type": stored.extra.get("mime_type") or "application/octet-stream",
            "size_bytes": stored.size_bytes,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stored.created_at)),
            "downloadable": True,
        }

    def deleted_body(self, remote_id: str) -> Mapping[str, JSON]:
        return {"_shape": "openrouter", "id": remote_id, "type": "file_deleted"}

    def list_files(self, request: Request) -> Answer:
        """Answer a page behind `cursor`, `after` or `after_id`; only `order=asc` works on its own storage."""
        files = self.store.ascending()
        if request.argument("order") not in (None, "asc"):
            raise self.refuse(400, "only order=asc is supported")
        for name in ("cursor", "after", "after_id"):
            if after := request.argument(name):
                files = self.behind(files, after)
        limit = self.limit(request)
        page = files[:limit]
        has_more = len(files) > limit
        return json_answer(
            {
                "_shape": "openrouter",
                "data": [self.file_body(stored) for stored in page],
                "first_id": page[0].remote_id if page else None,
                "last_id": page[-1].remote_id if page else None,
                "has_more": has_more,
                "cursor": page[-1].remote_id if has_more else None,
            }
        )
