"""DeepInfra. Source: docs.deepinfra.com/batch and deepinfra SDK 0.3.0, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping

from ..multipart import Form
from ..storage import StoredFile
from ..wire import JSON, Answer, RefusedError, json_answer
from .base import VALID_KEY, Request, bearer_token
from .openai_files import DAY_SECONDS, MIB, OpenAIFilesDialect


class DeepInfra(OpenAIFilesDialect):
    """`https://api.deepinfra.com/v1/openai`: batch input for 30 days, and four error shapes."""

    name = "deepinfra"
    prefix = "/deepinfra/v1/openai"
    upload_purposes = frozenset({"batch"})
    max_bytes = 200 * MIB
    id_prefix = "file_"
    lifetime_seconds = 30 * DAY_SECONDS

    def authenticate(self, request: Request) -> None:
        token = bearer_token(request.headers)
        if not token:
            raise self.refuse(401, "Not authenticated")
        if token != VALID_KEY:
            raise RefusedError(json_answer({"error": "Invalid API key"}, 401))

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        if status == 401:
            return json_answer({"detail": message}, 401)
        if status == 422:
            return json_answer(
                {"detail": [{"loc": ["body", param], "msg": message, "type": "value_error"}]}, 422
            )
        return super().error(status, message, param=param, code=code)

    def refuse(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> RefusedError:
        """Answer 422 where a field is at fault, as FastAPI does."""
        return super().refuse(422 if status == 400 and param else status, message, param=param, code=code)

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        """Take `seconds` without an anchor, which is optional here."""
        seconds = form.text("expires_after[seconds]")
        if seconds is None or form.text("expires_after[anchor]") is not None:
            return super().expiry(form, purpose, now)
        return now + self.checked_seconds(seconds, "expires_after.seconds")

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        return {**super().file_body(stored), "expires_at": stored.expires_at}
