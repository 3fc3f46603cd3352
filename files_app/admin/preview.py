"""The first bytes of a file, as text or as a picture: nothing of it is ever run.

Reading costs a request at the provider and is written into the audit trail, so it happens on demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from files_app.admin.requests import caller_of
from files_app.models import File
from files_app.services.accounts.drivers import driver_for
from files_app.services.reading.downloads import OpenedFile, open_file
from files_app.web.content import content_response
from providers.objects import ByteRange, KiB, MiB

PREVIEW_BYTES = 4 * KiB
MAX_IMAGE_BYTES = 16 * MiB
#: What the audit trail calls a look at a file.
PREVIEW = "preview"

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What can be shown of a file. kind: text, image or binary."""

    kind: str
    lines: tuple[str, ...] = ()
    is_cut: bool = False


def preview(request: HttpRequest, file: File) -> Preview:
    """Read the first bytes of a file. Raises GatewayError and ProviderError."""
    head = _head(request, file)
    if image_type(head) and file.bytes <= MAX_IMAGE_BYTES:
        return Preview("image")
    text = _decoded(head)
    if text is None:
        return Preview("binary")
    return Preview("text", tuple(text.splitlines()), is_cut=file.bytes > len(head))


def image_type(head: bytes) -> str:
    """Return the type of a picture that browsers draw, by its first bytes; empty for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _IMAGES if head.startswith(start)), "")


def image_response(request: HttpRequest, file: File) -> HttpResponse | StreamingHttpResponse:
    """Stream a picture for an <img> of ours; opened by itself it is a download, and nothing in it runs."""
    opened = open_file(file, caller=caller_of(request, file.organization_id), part=PREVIEW)
    first = next(opened.chunks, b"")
    kind = image_type(first)
    if not kind or opened.length > MAX_IMAGE_BYTES:
        opened.close()
        return HttpResponse(status=415)
    opened.chunks = chain([first], opened.chunks)
    response = content_response(file, opened)
    response.headers["Content-Type"] = kind
    return response


def _head(request: HttpRequest, file: File) -> bytes:
    can_range = driver_for(file.account).capabilities.ranges and file.bytes > PREVIEW_BYTES
    byte_range = ByteRange(0, PREVIEW_BYTES - 1) if can_range else None
    caller = caller_of(request, file.organization_id)
    opened = open_file(file, caller=caller, byte_range=byte_range, part=PREVIEW)
    try:
        return _first_bytes(opened)
    finally:
        opened.close()


def _first_bytes(opened: OpenedFile) -> bytes:
    head = b""
    for chunk in opened.chunks:
        head += chunk
        if len(head) >= PREVIEW_BYTES:
            break
    return head[:PREVIEW_BYTES]


def _decoded(head: bytes) -> str | None:
    """Return the text in the bytes, whose last character may be cut; None when they are no text."""
    if b"\0" in head:
        return None
    for end in range(len(head), max(0, len(head) - 4), -1):
        try:
            return head[:end].decode()
        except UnicodeDecodeError:
            continue
    return "" if not head else None
