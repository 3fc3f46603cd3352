"""Mistral. Source: the published OpenAPI description (commit 222f4ba9, 2026-08-21) and mistralai SDK 3.7.0,
read 2026-11-23."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer, RefusedError, bytes_answer, json_answer
from .base import VALID_KEY, Request, Route, bearer_token
from .openai_files import FILE_ID, OpenAIFilesDialect, is_uuid

SAMPLE_TYPES = {"batch": "batch_request", "fine-tune": "instruct"}


class Mistral(OpenAIFilesDialect):
    """`https://api.mistral.ai/v1`: UUID ids, page numbers, and `detail` errors.

    A batch result has the purpose `batch` and `extra={"sample_type": "batch_result", "source": "mistral"}`.
    """

    name = "mistral"
    prefix = "/mistral/v1"
    known_fields = frozenset({"file", "purpose", "expiry", "visibility"})
    upload_purposes = frozenset({"fine-tune", "batch", "ocr", "audio", "agentic_safety"})
    jsonl_purposes = frozenset({"fine-tune"})
    purpose_is_required = False
    default_limit = max_limit = 100

    def routes(self) -> tuple[Route, ...]:
        return (*super().routes(), Route("GET", FILE_ID + "/url", self.sign_url))

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) != VALID_KEY:
            raise self.refuse(401, "Unauthorized")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        if status == 422:
            detail: JSON = [{"loc": ["body", param or "body"], "msg": message, "type": "value_error"}]
            return json_answer({"detail": detail}, 422)
        if status in (401, 404):
            return json_answer({"detail": message}, status)
        flat = {"object": "error", "message": message, "type": "error", "param": param, "code": code}
        return json_answer(flat, status)

    def refuse(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> RefusedError:
        """Answer 422 where OpenAI answers 400."""
        return super().refuse(422 if status == 400 else status, message, param=param, code=code)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def extra_of(self, form: Form, part: FilePart) -> dict[str, JSON]:
        sample_type = SAMPLE_TYPES.get(form.text("purpose") or "", "pretrain")
        return {
            "sample_type": sample_type,
            "mimetype": part.content_type,
            "visibility": form.text("visibility") or "workspace",
        }

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        """Give no expiry: the unit of the field `expiry` is not documented."""
        return None

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {
            **super().file_body(stored),
            "sample_type": stored.extra.get("sample_type", "pretrain"),
            "num_lines": None,
            "mimetype": stored.extra.get("mimetype"),
            "source": stored.extra.get("source", "upload"),
            "signature": None,
            "expires_at": stored.expires_at,
            "visibility": stored.extra.get("visibility", "workspace"),
        }

    def find(self, remote_id: str) -> StoredFile:
        if not is_uuid(remote_id):
            raise self.refuse(422, "Input should be a valid UUID", param="file_id")
        return super().find(remote_id)

    def retrieve_file(self, request: Request, remote_id: str) -> Answer:
        return json_answer({**self.file_body(self.find(remote_id)), "deleted": False})

    def sign_url(self, request: Request, remote_id: str) -> Answer:
        self.find(remote_id)
        return json_answer({"url": f"{self.storage_url}/{remote_id}?sig=fake"})

    def handle_storage(self, request: Request) -> Answer:
        stored = self.store.get(request.path.rpartition("/")[2])
        return bytes_answer(stored.blob, range_header=request.headers.get("range")) if stored else Answer(404)

    def list_files(self, request: Request) -> Answer:
        """Answer page `page`, counted from 0, of `page_size` files."""
        files = self._filtered(request)
        size = self.limit(request, "page_size")
        start = self.integer(request, "page", 0) * size
        total = None if request.argument("include_total") == "false" else len(files)
        data = [self.file_body(stored) for stored in files[start : start + size]]
        return json_answer({"object": "list", "data": data, "total": total})

    def _filtered(self, request: Request) -> list[StoredFile]:
        files = self.store.ascending()[::-1]
        purpose, sample_types = request.argument("purpose"), request.query.get("sample_type")
        search = request.argument("search") or ""
        return [
            each
            for each in files
            if purpose in (None, each.purpose)
            and (not sample_types or each.extra.get("sample_type") in sample_types)
            and search in each.filename
        ]
