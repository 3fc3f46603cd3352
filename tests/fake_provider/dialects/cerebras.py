"""Cerebras. Source: inference-docs.cerebras.ai/api-reference/file, its SDK 1.91.0; read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping

from ..storage import StoredFile
from ..wire import JSON, Answer, json_answer
from .base import VALID_KEY, Request, bearer_token
from .openai_files import DAY_SECONDS, MIB, OpenAIFilesDialect


class Cerebras(OpenAIFilesDialect):
    """`https://api.cerebras.ai/v1`: batch input only, flat errors, oldest first, no `has_more`."""

    name = "cerebras"
    prefix = "/cerebras/v1"
    upload_purposes = frozenset({"batch"})
    max_bytes = 200 * MIB
    id_prefix = "file"
    lifetime_seconds = 7 * DAY_SECONDS
    default_limit = 20
    max_limit = 100
    default_order = "asc"
    content_type = "application/x-ndjson"

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) != VALID_KEY:
            raise self.refuse(401, "Wrong API Key", param="api_key", code="wrong_api_key")

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return json_answer({"message": message, "type": kind, "param": param, "code": code}, status)

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {**super().file_body(stored), "expires_at": stored.expires_at}

    def list_files(self, request: Request) -> Answer:
        """Answer the files created after `after`; `order` and `purpose` are not known here and ignored."""
        files = self.store.ascending()
        if after := request.argument("after"):
            files = self.behind(files, after)
        return self.bare_list(files[: self.limit(request)])
