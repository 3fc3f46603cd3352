"""The driver of the Gemini Developer API's files.

Source: ai.google.dev/api/files, ai.google.dev/gemini-api/docs/files and Google's SDKs google-genai 3.4.0 and
go-genai, read 2026-11-23.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from providers.base import Setting
from providers.errors import ErrorDetails
from providers.exceptions import CredentialsError, ProviderError, RemoteFileNotFoundError
from providers.http_driver import (
    HTTPDriver,
    checked_id,
    checked_objects,
    json_request,
    parse_size,
    parse_text,
    parse_time,
)
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
    JSONValue,
    MiB,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
)
from providers.transports.http import Request, Response, StreamBody

_LIFETIME_SECONDS: Final = 48 * 3600
_BLOCK_BYTES: Final = 8 * MiB
_MAX_GRANULARITY_BYTES: Final = 32 * MiB
_STATUSES: Final[Mapping[str | None, FileStatus]] = {"ACTIVE": "processed", "FAILED": "error"}


class GeminiDriver(HTTPDriver):
    """Speaks the files part of the Gemini API. Uploads are resumable sessions that are finalized last."""

    name = "gemini"
    label = "Gemini"
    docs_url = "https://ai.google.dev/gemini-api/docs/files"
    options = (
        Setting("base_url", "Base URL", kind="url", default="https://generativelanguage.googleapis.com"),
        Setting("api_version", "API version", "First segment of every path.", default="v1beta"),
    )
    credentials = (Setting("api_key", "API key", required=True, secret=True),)
    capabilities = Capabilities(
        purposes={purpose: purpose for purpose in ("assistants", "batch", "user_data", "vision")},
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
        source=docs_url,
        checked="2026-11-23",
    )

    def auth_headers(self) -> dict[str, str]:
        """Return the key in Google's own header."""
        return {"x-goog-api-key": self.account.credentials["api_key"]}

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """A bad key is a 400 here, and a file that does not exist is a 403 that says that it may not."""
        if (details.code or "").startswith("API_KEY_"):
            return CredentialsError
        is_about_file = operation not in {Operation.CREATE, Operation.LIST}
        if status == 403 and is_about_file and "may not exist" in (details.message or ""):
            return RemoteFileNotFoundError
        return None

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
            created = self.json_object(Operation.CREATE, response).get("file")
        return self.check_size(self.parse_file(created, Operation.CREATE), upload)

    def _start(self, file: FilePart, purpose: str | None) -> tuple[str, int]:
        """Open an upload session and return its URL and the size of all blocks but the last.

        The URL needs no key, so it must not get into a message or a log line. The length may stay unsaid:
        go-genai's Files.Upload does so (read 2026-11-23).
        """
        request = json_request("POST", self._url("/upload"), {"file": {"displayName": file.filename}})
        headers = {
            **request.headers,
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Type": _content_type(file, purpose),
        }
        if file.length is not None:
            headers["X-Goog-Upload-Header-Content-Length"] = str(file.length)
        response = self.send(Operation.CREATE, replace(request, headers=headers))
        with self.attributed(Operation.CREATE):
            response.body()  # empty; read, so that the connection serves the next request too
        # On our own endpoint, as in Google's SDKs: what goes through a proxy must not go past it later.
        _, found, rest = response.headers.get("X-Goog-Upload-URL", "").partition("/upload/")
        granularity = parse_size(response.headers.get("X-Goog-Upload-Chunk-Granularity")) or _BLOCK_BYTES
        if not found or granularity > _MAX_GRANULARITY_BYTES:
            raise self.invalid(Operation.CREATE, "it opened no usable upload session", response)
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
        with self.attributed(Operation.CREATE):
            response.body()
        if expected and response.headers.get("X-Goog-Upload-Status") != expected:
            raise self.invalid(Operation.CREATE, f"the upload is not {expected}", response)
        return response

    def _list_files(self, cursor: str | None) -> RemotePage:
        query = {"pageSize": "100", **({"pageToken": cursor} if cursor else {})}
        body = self.send_json(Operation.LIST, Request("GET", self._url(), query=query))
        files = checked_objects(body.get("files", []), self)  # an empty list is left out
        return RemotePage(
            tuple(self.parse_file(each, Operation.LIST) for each in files),
            parse_text(body.get("nextPageToken"), limit=MiB),
        )

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        return self._metadata(remote_id, Operation.RETRIEVE)

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        if not self._metadata(remote_id, Operation.CONTENT).downloadable:
            raise self.unsupported(Operation.CONTENT)
        url = f"{self._file_url(remote_id, Operation.CONTENT)}:download"
        return self.open_download(Request("GET", url, query={"alt": "media"}), byte_range)

    def _delete_file(self, remote_id: str) -> None:
        self.send_delete(Request("DELETE", self._file_url(remote_id, Operation.DELETE)))

    def _metadata(self, remote_id: str, operation: Operation) -> RemoteFile:
        request = Request("GET", self._file_url(remote_id, operation))
        return self.parse_file(self.send_json(operation, request), operation)

    def _url(self, prefix: str = "") -> str:
        return f"{self.base_url}{prefix}/{self.text_option('api_version')}/files"

    def _file_url(self, remote_id: str, operation: Operation) -> str:
        return f"{self._url()}/{self.id_segment(remote_id, operation)}"

    def parse_file(self, body: JSONValue, operation: Operation) -> RemoteFile:
        """Read a File. Its name is `files/<remote id>`, its numbers are strings, empty members are absent."""
        fields = body if isinstance(body, Mapping) else {}
        remote_id = checked_id(
            (parse_text(fields.get("name"), 512) or "").removeprefix("files/"), self, operation
        )
        generated = fields.get("source") == "GENERATED"
        error = fields.get("error")
        return RemoteFile(
            remote_id=remote_id,
            bytes=parse_size(fields.get("sizeBytes")),
            created_at=parse_time(fields.get("createTime")),
            filename=parse_text(fields.get("displayName"), limit=512) or remote_id,
            purpose="assistants_output" if generated else None,
            status=_STATUSES.get(parse_text(fields.get("state")), "uploaded"),
            status_details=parse_text(error.get("message"), 500) if isinstance(error, Mapping) else None,
            expires_at=parse_time(fields.get("expirationTime")),
            content_type=parse_text(fields.get("mimeType")),
            downloadable=generated or "downloadUri" in fields,
            uri=parse_text(fields.get("uri"), limit=1024),
            sha256=_hex_digest(fields.get("sha256Hash")),
        )


def _content_type(file: FilePart, purpose: str | None) -> str:
    """Return the type under which models will take a file: only batch jobs know JSONL, nobody bare bytes."""
    content_type = file.content_type
    if content_type in {"", "application/octet-stream"}:
        content_type = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
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
