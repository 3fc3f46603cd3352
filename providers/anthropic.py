"""The driver of Anthropic's Files API, in its form of general availability.

Source: platform.claude.com/docs/en/build-with-claude/files and the official SDK 2.12.0, read 2026-11-23. No
beta header is sent: it would change the shapes of lists and file objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from providers.base import Setting
from providers.exceptions import FileRejectedError
from providers.http_driver import (
    HTTPDriver,
    checked_id,
    checked_objects,
    normalized,
    parse_size,
    parse_text,
    parse_time,
)
from providers.objects import (
    ByteRange,
    Capabilities,
    Download,
    ExpiresAfterPart,
    Expiry,
    FilePart,
    JSONObject,
    MiB,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
)
from providers.transports.http import Request, StreamBody
from providers.transports.multipart import FormField, FormFile, FormPart, MultipartForm

#: Characters that an upload's file name may not hold (page "Files API", read 2026-11-23).
_REFUSED_IN_NAMES: Final = re.compile(r'[<>:"|?*\\/\x00-\x1f]')


class AnthropicDriver(HTTPDriver):
    """Speaks Anthropic's Files API."""

    name = "anthropic"
    label = "Anthropic"
    docs_url = "https://platform.claude.com/docs/en/build-with-claude/files"
    options = (
        Setting("base_url", "Base URL", kind="url", default="https://api.anthropic.com"),
        Setting("api_version", "API version", "Sent as anthropic-version.", default="2026-10-21"),
        Setting("workspace_id", "Workspace", "Only for keys that can act in several workspaces."),
    )
    credentials = (Setting("api_key", "API key", required=True, secret=True),)
    capabilities = Capabilities(
        purposes={purpose: purpose for purpose in ("assistants", "user_data", "vision")},
        max_bytes=500 * MiB,
        expiry=Expiry(native=True, max_seconds=7_776_000),
        paging="token",
        mode="transformed",
        missing_reasons={
            Operation.CONTENT: "Only files that Claude's tools and skills have made can be downloaded; an "
            "uploaded file can be used in messages by its id, retrieved, listed and deleted."
        },
        source=docs_url,
        checked="2026-11-23",
    )

    def auth_headers(self) -> dict[str, str]:
        """Return key, version and, where one is set, workspace."""
        headers = {
            "x-api-key": self.account.credentials["api_key"],
            "anthropic-version": self.text_option("api_version"),
        }
        workspace = self.text_option("workspace_id")
        return {**headers, "anthropic-workspace-id": workspace} if workspace else headers

    def upstream(self) -> tuple[str, ...]:
        """The endpoint and the workspace, to which files belong."""
        return (normalized(self.base_url), self.text_option("workspace_id"))

    def _create_file(self, upload: Upload) -> RemoteFile:
        form = MultipartForm(_form_parts(upload))
        headers = {"Content-Type": form.content_type}
        request = Request("POST", f"{self.base_url}/v1/files", headers=headers, body=StreamBody(iter(form)))
        created = self.parse_file(self.send_json(Operation.CREATE, request), Operation.CREATE)
        return self.check_size(created, upload)

    def _list_files(self, cursor: str | None) -> RemotePage:
        # Expired files stay listed for up to 30 days, with the past `expires_at` that tells what they are.
        query = {"limit": "1000", **({"page": cursor} if cursor else {})}
        body = self.send_json(Operation.LIST, Request("GET", f"{self.base_url}/v1/files", query=query))
        files = checked_objects(body.get("data"), self)
        return RemotePage(
            tuple(self.parse_file(each, Operation.LIST) for each in files),
            parse_text(body.get("next_page"), limit=MiB),  # null, absent or empty on the last page
        )

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        request = Request("GET", self._file_url(remote_id, Operation.RETRIEVE))
        return self.parse_file(self.send_json(Operation.RETRIEVE, request), Operation.RETRIEVE)

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        url = f"{self._file_url(remote_id, Operation.CONTENT)}/content"
        try:
            return self.open_download(
                Request("GET", url, headers={"Accept": "application/binary"}), byte_range
            )
        except FileRejectedError as exc:
            if exc.code != "file_not_downloadable":
                raise
            raise self.unsupported(Operation.CONTENT, request_id=exc.request_id) from exc

    def _delete_file(self, remote_id: str) -> None:
        self.send_delete(Request("DELETE", self._file_url(remote_id, Operation.DELETE)))

    def _file_url(self, remote_id: str, operation: Operation) -> str:
        return f"{self.base_url}/v1/files/{self.id_segment(remote_id, operation)}"

    def parse_file(self, body: JSONObject, operation: Operation) -> RemoteFile:
        """Read a file object; one without `downloadable` cannot be downloaded."""
        downloadable = body.get("downloadable") is True
        return RemoteFile(
            remote_id=checked_id(body.get("id"), self, operation),
            bytes=parse_size(body.get("size_bytes")),
            created_at=parse_time(body.get("created_at")),
            filename=parse_text(body.get("filename"), limit=500),
            purpose="assistants_output" if downloadable else None,
            expires_at=parse_time(body.get("expires_at")),
            content_type=parse_text(body.get("mime_type")),
            downloadable=downloadable,
        )


def _form_parts(upload: Upload) -> Iterator[FormPart]:
    """Yield the form of an upload. There is no purpose at Anthropic: the gateway's index keeps it."""
    for part in upload:
        if isinstance(part, ExpiresAfterPart):
            yield FormField("expires_in_seconds", str(part.seconds))
        elif isinstance(part, FilePart):
            yield FormFile("file", replace(part, filename=_REFUSED_IN_NAMES.sub("_", part.filename)))
