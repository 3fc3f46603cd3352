"""The driver of the Gemini Developer API's files.

Source: ai.google.dev/api/files, ai.google.dev/gemini-api/docs/files and Google's SDKs google-genai 3.4.0 and
go-genai, read 2026-11-23.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from providers.base import Setting
from providers.errors import ErrorDetails
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.http_driver import with_json
from providers.objects import (
    OPENAI_BATCH_LINES,
    BatchLineFormat,
    ByteRange,
    Capabilities,
    Download,
    Expiry,
    FilePart,
    FileStatus,
    GiB,
    JSONObject,
    JSONValue,
    MiB,
    Operation,
    RemoteFile,
    Upload,
)
from providers.parsing import parse_size, parse_text, parse_time, parse_words
from providers.rest_driver import RestDriver
from providers.transports.http import Request, Response, StreamBody

_LIFETIME_SECONDS: Final = 48 * 3600
_BLOCK_BYTES: Final = 8 * MiB
_MAX_GRANULARITY_BYTES: Final = 32 * MiB
#: Reasons of google.rpc.ErrorInfo, from googleapis/google/api/error_reason.proto, read 2026-11-25.
_PROJECT_REASONS: Final = frozenset(
    {
        "BILLING_DISABLED",
        "CONSUMER_INVALID",
        "CONSUMER_SUSPENDED",
        "LOCATION_POLICY_VIOLATED",
        "SERVICE_DISABLED",
    }
)
_STATUSES: Final[Mapping[str | None, FileStatus]] = {"ACTIVE": "processed", "FAILED": "error"}


class GeminiDriver(RestDriver):
    """Speaks the files part of the Gemini API. Uploads are resumable sessions that are finalized last."""

    name = "gemini"
    label = "Gemini"
    options = (
        Setting("base_url", "Base URL", kind="url", default="https://generativelanguage.googleapis.com"),
        Setting("api_version", "API version", "First segment of every path.", default="v1beta"),
    )
    capabilities = Capabilities(
        purposes={purpose: purpose for purpose in ("assistants", "batch", "user_data", "vision")},
        sealed_purposes=frozenset({"assistants", "batch", "user_data", "vision"}),
        max_bytes=2 * GiB,
        expiry=Expiry(max_seconds=_LIFETIME_SECONDS, default_seconds=_LIFETIME_SECONDS),
        paging="token",
        # Gemini's own lines: docs/batch-api. OpenAI's, for its compatible endpoint: docs/openai#batch.
        batch_lines=(OPENAI_BATCH_LINES, BatchLineFormat("gemini", {"key": str, "request": dict}, "key")),
        mode="transformed",
        missing_reasons={
            Operation.CONTENT: "Only files that Gemini has made (batch results, videos) can be downloaded; "
            "an uploaded file can be used in prompts by its uri, retrieved, listed and deleted for 48 hours."
        },
        source="https://ai.google.dev/gemini-api/docs/files",
        checked="2026-11-23",
    )

    list_query = {"pageSize": "100"}
    list_member = "files"
    omits_empty_list = True
    page_parameter = "pageToken"
    next_member = "nextPageToken"
    content_suffix = ":download"

    @property
    def files_path(self) -> str:
        return f"/{self.text_option('api_version')}/files"

    def auth_headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self.account.credentials["api_key"]}

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """A bad key is a 400 here, and a file that does not exist is a 403 that says that it may not.

        A 403 with a reason of its own is about the project behind the key: without billing, say, or gone.
        """
        if (details.code or "").startswith("API_KEY_"):
            return CredentialsError
        if status != 403:
            return None
        if details.code in _PROJECT_REASONS:
            return ConfigurationRefusedError
        is_about_file = operation not in {Operation.CREATE, Operation.LIST}
        return RemoteFileNotFoundError if is_about_file and _names_file(details) else None

    def _create_file(self, upload: Upload) -> RemoteFile:
        file = upload.open_file()
        url, block_bytes = self._start(file, upload.purpose)
        offset, held = 0, bytearray()
        with self.undone_on_failure(lambda: self._command(url, "cancel")):
            for chunk in file.chunks:
                held += chunk
                while len(held) > block_bytes:
                    block, held = held[:block_bytes], held[block_bytes:]
                    self._command(url, "upload", block, offset, expected="active")
                    offset += len(block)
            upload.finish()  # raises while nothing is final yet
            response = self._command(url, "upload, finalize", held, offset, expected="final")
            created = self.json_object(response).get("file")
        return self.check_size(self.parse_file(created if isinstance(created, Mapping) else {}), upload)

    def _start(self, file: FilePart, purpose: str | None) -> tuple[str, int]:
        """Open an upload session and return its URL and the size of all blocks but the last.

        The URL needs no key, so it must not get into a message or a log line. The length may stay unsaid:
        go-genai's Files.Upload does so (read 2026-11-23).
        """
        url = f"{self.base_url}/upload{self.files_path}"
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
        }
        if content_type := _content_type(file, purpose):
            headers["X-Goog-Upload-Header-Content-Type"] = content_type
        if file.length is not None:
            headers["X-Goog-Upload-Header-Content-Length"] = str(file.length)
        request = with_json(Request("POST", url, headers), {"file": {"displayName": file.filename}})
        response = self.send(Operation.CREATE, request)
        response.body()  # empty; read, so that the connection serves the next request too
        # On our own endpoint, as in Google's SDKs: what goes through a proxy must not go past it later.
        _, found, rest = response.headers.get("X-Goog-Upload-URL", "").partition("/upload/")
        granularity = parse_size(response.headers.get("X-Goog-Upload-Chunk-Granularity")) or _BLOCK_BYTES
        if not found or granularity > _MAX_GRANULARITY_BYTES:
            raise self.invalid("it opened no usable upload session", response)
        return f"{self.base_url}/upload/{rest}", granularity * max(1, _BLOCK_BYTES // granularity)

    def _command(
        self, url: str, command: str, block: bytearray | None = None, offset: int = 0, *, expected: str = ""
    ) -> Response:
        """Send one command with its bytes; a success in another state than `expected` is a failed upload."""
        view, step = memoryview(block or b""), self.account.environment.chunk_bytes
        pieces = (bytes(view[start : start + step]) for start in range(0, len(view), step))
        headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
        request = Request("POST", url, headers=headers, body=StreamBody(pieces, len(view)))
        response = self.send_bare(Operation.CREATE, request)
        response.body()
        if expected and response.headers.get("X-Goog-Upload-Status") != expected:
            raise self.invalid(f"the upload is not {expected}", response)
        return response

    def content_request(self, remote_id: str) -> Request:
        return replace(super().content_request(remote_id), query={"alt": "media"})

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        _, body = self.describe(remote_id, Operation.CONTENT)
        if not _is_generated(body) and "downloadUri" not in body:
            raise self.unsupported(Operation.CONTENT)
        return super()._download_file(remote_id, byte_range)

    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a File. Its name is `files/<remote id>`, its numbers are strings, empty members are absent."""
        remote_id = self.checked_id((parse_text(body.get("name"), 512) or "").removeprefix("files/"))
        error = body.get("error")
        return RemoteFile(
            remote_id=remote_id,
            bytes=parse_size(body.get("sizeBytes")),
            created_at=parse_time(body.get("createTime")),
            filename=parse_text(body.get("displayName"), limit=512) or remote_id,
            purpose="assistants_output" if _is_generated(body) else None,
            status=_STATUSES.get(parse_text(body.get("state")), "uploaded"),
            status_details=parse_words(error.get("message")) if isinstance(error, Mapping) else None,
            expires_at=parse_time(body.get("expirationTime")),
            content_type=parse_text(body.get("mimeType")),
            uri=parse_text(body.get("uri"), limit=1024),
            sha256=_hex_digest(body.get("sha256Hash")),
        )


def _names_file(details: ErrorDetails) -> bool:
    """Whether a refusal is about a file; "or it may not exist" alone is also said of projects."""
    return bool(re.search(r"\bFile \S+ or it may not exist", details.message or ""))


def _is_generated(body: JSONObject) -> bool:
    return body.get("source") == "GENERATED"


def _content_type(file: FilePart, purpose: str | None) -> str | None:
    """Return the type under which models will take a file: only batch jobs know JSONL."""
    content_type = file.provider_type
    is_prompt_text = content_type == "application/jsonl" and purpose not in {"batch", None}
    return "text/plain" if is_prompt_text else content_type


def _hex_digest(value: JSONValue) -> str | None:
    """Return a sha256Hash as hex: base64 of the digest, in older answers of its hex digits."""
    try:
        raw = base64.b64decode(parse_text(value) or "", validate=True)
    except ValueError:
        return None
    digits = raw.hex() if len(raw) == 32 else raw.decode("ascii", "replace").lower()
    return digits if re.fullmatch(r"[0-9a-f]{64}", digits) else None
