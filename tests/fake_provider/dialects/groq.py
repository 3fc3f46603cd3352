"""Groq. Source: groq SDK 1.7.0, console.groq.com/docs and public issue threads, read 2026-11-23."""

from __future__ import annotations

from ..multipart import Form
from ..wire import JSON, Answer, json_answer
from .base import Request, bearer_token
from .openai_files import MIB, OpenAIFilesDialect, random_letters

FREE_PLAN_KEY = "free-plan-key"


class Groq(OpenAIFilesDialect):
    """`https://api.groq.com/openai/v1`: no status, expiry or paging; `FREE_PLAN_KEY` meets the plan gate."""

    name = "groq"
    prefix = "/groq/openai/v1"
    known_fields = frozenset({"file", "purpose"})
    upload_purposes = frozenset({"batch"})
    max_bytes = 100 * MIB

    def authenticate(self, request: Request) -> None:
        if bearer_token(request.headers) == FREE_PLAN_KEY:
            message = "This feature is not available for your plan."
            raise self.refuse(403, message, code="not_available_for_plan")
        super().authenticate(request)

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        error: dict[str, JSON] = {"message": message, "type": "invalid_request_error"}
        if status == 403:
            error["type"] = "permissions_error"
        if param:
            error["param"] = param
        if code:
            error["code"] = code
        return json_answer({"error": error}, status)

    def new_id(self) -> str:
        return "file_01" + random_letters(24, "0123456789abcdefghjkmnpqrstvwxyz")

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None

    def list_files(self, request: Request) -> Answer:
        """Answer everything: the list takes no parameters."""
        return self.bare_list(self.store.ascending())
