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
from providers.locations import Location
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
    Upload,
    UploadPart,
)
from providers.parsing import parse_size, parse_text, parse_time
from providers.rest_driver import RestDriver
from providers.transports.http import Request
from providers.transports.multipart import FormField, FormFile, FormPart

#: Characters that an upload's file name may not hold (page "Files API", read 2026-11-23).
_REFUSED_IN_NAMES: Final = re.compile(r'[<>:"|?*\\/\x00-\x1f]')


class AnthropicDriver(RestDriver):
    """Speaks Anthropic's Files API."""

    name = "anthropic"
    label = "Anthropic"
    options = (
        Setting("base_url", "Base URL", kind="url", default="https://api.anthropic.com"),
        Setting("api_version", "API version", "Sent as anthropic-version.", default="2026-10-21"),
        Setting("workspace_id", "Workspace", "Only for keys that can act in several workspaces."),
    )
    capabilities = Capabilities(
        purposes={purpose: purpose for purpose in ("assistants", "user_data", "vision")},
        sealed_purposes=frozenset({"assistants", "user_data", "vision"}),
        max_bytes=500 * MiB,
        expiry=Expiry(native=True, max_seconds=7_776_000),
        paging="token",
        mode="transformed",
        missing_reasons={
            Operation.CONTENT: "Only files that Claude's tools and skills have made can be downloaded; an "
            "uploaded file can be used in messages by its id, retrieved, listed and deleted."
        },
        source="https://platform.claude.com/docs/en/build-with-claude/files",
        checked="2026-11-23",
    )

    files_path = "/v1/files"
    # Expired files stay listed for up to 30 days, with the past `expires_at` that tells what they are.
    list_query = {"limit": "1000"}
    page_parameter = "page"
    next_member = "next_page"

    def auth_headers(self) -> dict[str, str]:
        headers = {
            "x-api-key": self.account.credentials["api_key"],
            "anthropic-version": self.text_option("api_version"),
        }
        workspace = self.text_option("workspace_id")
        return {**headers, "anthropic-workspace-id": workspace} if workspace else headers

    def location(self) -> Location:
        """The key's files, or those of one workspace: at Anthropic's own host, which heeds the header."""
        found = super().location()
        workspace = self.text_option("workspace_id").lower()
        return Location.of(place.below(workspace) for place in found.places) if found.is_at_vendor else found

    def form_parts(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        """Send expiry and file. There is no purpose at Anthropic: the gateway's index keeps it."""
        if isinstance(part, ExpiresAfterPart):
            yield FormField("expires_in_seconds", str(part.seconds))
        elif isinstance(part, FilePart):
            yield FormFile("file", replace(part, filename=_REFUSED_IN_NAMES.sub("_", part.filename)))

    def content_request(self, remote_id: str) -> Request:
        return replace(super().content_request(remote_id), headers={"Accept": "application/binary"})

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        try:
            return super()._download_file(remote_id, byte_range)
        except FileRejectedError as exc:
            if exc.code != "file_not_downloadable":
                raise
            raise self.unsupported(Operation.CONTENT, request_id=exc.request_id) from exc

    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a file object; one without `downloadable` cannot be downloaded."""
        downloadable = body.get("downloadable") is True
        return RemoteFile(
            remote_id=self.checked_id(body.get("id")),
            bytes=parse_size(body.get("size_bytes")),
            created_at=parse_time(body.get("created_at")),
            filename=parse_text(body.get("filename"), limit=500),
            purpose="assistants_output" if downloadable else None,
            expires_at=parse_time(body.get("expires_at")),
            content_type=parse_text(body.get("mime_type")),
        )
