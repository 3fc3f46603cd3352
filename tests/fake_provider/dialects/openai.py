"""OpenAI itself. Source: the published OpenAPI description (2026-08-21), the openai SDK 3.54.0 and bodies in
public issue threads, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer
from .base import Request
from .openai_files import DAY_SECONDS, MIB, OpenAIFilesDialect

NOT_DOWNLOADABLE = frozenset({"assistants", "user_data"})


class OpenAI(OpenAIFilesDialect):
    """`https://api.openai.com/v1`."""

    name = "openai"
    prefix = "/openai/v1"
    upload_purposes = frozenset({"assistants", "batch", "fine-tune", "vision", "user_data", "evals"})
    status_after_upload = status_later = "processed"
    max_batch_bytes = 200 * MIB

    def check_form(self, form: Form) -> FilePart:
        part = super().check_form(form)
        if form.text("purpose") == "batch" and part.size_bytes > self.max_batch_bytes:
            raise self.refuse(400, "File is too large.")
        return part

    def default_lifetime(self, purpose: str) -> int | None:
        return 30 * DAY_SECONDS if purpose == "batch" else None

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body = {**super().file_body(stored), "status_details": None}
        if stored.expires_at is not None:
            body["expires_at"] = stored.expires_at
        return body

    def download_file(self, request: Request, remote_id: str) -> Answer:
        purpose = self.find(remote_id).purpose
        if purpose in NOT_DOWNLOADABLE:
            raise self.refuse(400, f"Not allowed to download files of purpose: {purpose}")
        return super().download_file(request, remote_id)

    def handle(self, request: Request) -> Answer:
        return (
            super()
            .handle(request)
            .with_headers(("x-request-id", "req_fake"), ("openai-version", "2020-10-01"))
        )
