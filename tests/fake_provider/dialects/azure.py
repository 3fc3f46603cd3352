"""Azure OpenAI in its two dialects.

Source: the Azure REST API specifications (dated 2024-10-21, and v1), the public REST reference and the openai
SDK 3.54.0, read 2026-11-23. The two share one resource in reality; here each has a store of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..multipart import FilePart, Form
from ..storage import StoredFile
from ..wire import JSON, Answer, json_answer
from .base import VALID_KEY, Request, bearer_token
from .openai_files import OpenAIFilesDialect

CODES = {
    400: "invalidPayload",
    401: "unauthorized",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    429: "tooManyRequests",
    503: "serviceUnavailable",
}


class _AzureDialect(OpenAIFilesDialect):
    status_after_upload = "pending"
    status_later = "processed"

    def authenticate(self, request: Request) -> None:
        """Take `api-key` or a bearer token; the vendor says never to send both, so both are refused here."""
        offered = [key for key in (request.headers.get("api-key"), bearer_token(request.headers)) if key]
        if len(offered) > 1:
            raise self.refuse(400, "Send either api-key or Authorization, not both.")
        if offered != [VALID_KEY]:
            raise self.refuse(401, "Access denied due to invalid subscription key or wrong API endpoint.")

    def check_form(self, form: Form) -> FilePart:
        part = super().check_form(form)
        if not part.content_type:
            raise self.refuse(400, "The file has no or an empty content type.")
        return part

    def handle(self, request: Request) -> Answer:
        return super().handle(request).with_headers(("apim-request-id", "fake-apim-request"))


class AzureDated(_AzureDialect):
    """`https://{resource}.openai.azure.com/openai` with `api-version`; upload answers lack `bytes`."""

    name = "azure"
    prefix = "/azure/openai"
    known_fields = frozenset({"file", "purpose"})
    upload_status = 201
    upload_purposes = frozenset({"fine-tune", "assistants", "batch"})

    def authenticate(self, request: Request) -> None:
        if not request.argument("api-version"):
            raise self.refuse(404, "Resource not found", code="404")
        super().authenticate(request)

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        return json_answer(
            {"error": {"code": code or CODES.get(status, "internalFailure"), "message": message}}, status
        )

    def unknown_route(self, request: Request) -> Answer:
        return self.error(404, "Resource not found", code="404")

    def check_purpose(self, purpose: str | None) -> None:
        if purpose not in self.upload_purposes:
            raise self.refuse(400, "Invalid value for purpose.")

    def expiry(self, form: Form, purpose: str, now: int) -> int | None:
        return None

    def uploaded(self, stored: StoredFile) -> Answer:
        body = {**self.file_body(stored), "status": self.status_after_upload}
        del body["bytes"]
        location = f"{self.own_url}/files/{stored.remote_id}?api-version=2024-10-21"
        return json_answer(body, self.upload_status, [("Location", location)])

    def list_files(self, request: Request) -> Answer:
        """Answer everything at once: only `purpose` is known, `after` and `limit` are ignored."""
        purpose = request.argument("purpose")
        if purpose == "vision":
            raise self.refuse(400, "Invalid value for purpose.")
        return self.bare_list([each for each in self.store.ascending() if purpose in (None, each.purpose)])


class AzureV1(_AzureDialect):
    """`https://{resource}.openai.azure.com/openai/v1`; `api-version` is optional."""

    name = "azure_v1"
    prefix = "/azure/openai/v1"
    upload_purposes = frozenset({"fine-tune", "assistants", "batch", "evals", "vision", "user_data"})

    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        error: Mapping[str, JSON] = {
            "code": code or CODES.get(status, "internalFailure"),
            "message": message,
            "param": param,
            "type": "error",
            "inner_error": None,
        }
        return json_answer({"error": error}, status)

    def file_body(self, stored: StoredFile) -> Mapping[str, JSON]:
        body = super().file_body(stored)
        return body if stored.expires_at is None else {**body, "expires_at": stored.expires_at}
