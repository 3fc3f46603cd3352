"""The first bytes of a file as text or a table, or all of a picture or a PDF: nothing of it is ever run.

Reading costs a request at the provider and is written into the audit trail, so it happens on demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from files_app.admin.formatted import MAX_LINES, Table, formatted_json, table_of
from files_app.admin.requests import caller_of
from files_app.filenames import extension_of
from files_app.models import File
from files_app.services.accounts.drivers import driver_for
from files_app.services.reading.downloads import OpenedFile, open_file
from files_app.streams.headers import parse_media_type
from files_app.web.content import content_response
from providers.objects import ByteRange, KiB, MiB

PREVIEW_BYTES = 16 * KiB
MAX_IMAGE_BYTES = 16 * MiB
#: What the audit trail calls a look at a file.
PREVIEW = "preview"
MAX_PDF_BYTES = 64 * MiB
#: No script, no form, no link and no request of a PDF gets anywhere, and its origin is nobody's.
_PDF_POLICY = "default-src 'none'; sandbox; frame-ancestors 'self'"

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What can be shown of a file. kind: text, json, table, image, pdf or binary.

    lines: the text as it stands. formatted: JSON with its structure. bytes: of so many this is made.
    """

    kind: str
    lines: tuple[str, ...] = ()
    formatted: tuple[str, ...] = ()
    table: Table | None = None
    is_cut: bool = False
    bytes: int = 0


def preview(request: HttpRequest, file: File) -> Preview:
    """Read the first bytes of a file. Raises GatewayError and ProviderError."""
    head = _head(request, file)
    if image_type(head) and file.bytes <= MAX_IMAGE_BYTES:
        return Preview("image")
    if is_pdf(head):
        return Preview("pdf" if file.bytes <= MAX_PDF_BYTES else "binary")
    text = _decoded(head)
    if text is None:
        return Preview("binary")
    is_cut, lines = file.bytes > len(head), text.splitlines()
    shown = _shown(file, text, is_cut)
    is_cut = is_cut or len(lines) > MAX_LINES
    return replace(shown, lines=tuple(lines[:MAX_LINES]), is_cut=is_cut, bytes=len(head))


def _shown(file: File, text: str, is_cut: bool) -> Preview:
    extension, kind = extension_of(file.filename), parse_media_type(file.content_type).type
    if extension in {".csv", ".tsv"} or kind in {"text/csv", "text/tab-separated-values"}:
        table = table_of(text, extension=extension, is_cut=is_cut)
        return Preview("table", table=table) if table is not None else Preview("text")
    is_document = extension == ".json" or (kind == "application/json" and extension != ".jsonl")
    if is_document and text.lstrip().startswith(("{", "[")):
        return Preview("json", formatted=tuple(formatted_json(text)))
    return Preview("text")


def is_pdf(head: bytes) -> bool:
    """Whether the bytes begin a PDF."""
    return head.startswith(b"%PDF-")


def image_type(head: bytes) -> str:
    """Return the type of a picture that browsers draw, by its first bytes; empty for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _IMAGES if head.startswith(start)), "")


def image_response(request: HttpRequest, file: File) -> HttpResponse | StreamingHttpResponse:
    """Stream a picture for an <img> of ours; opened by itself it is a download, and nothing in it runs."""
    return _whole(request, file, image_type, MAX_IMAGE_BYTES)


def pdf_response(request: HttpRequest, file: File) -> HttpResponse | StreamingHttpResponse:
    """Stream a PDF for the browser's own viewer, in a frame of ours and in a sandbox without an origin."""
    response = _whole(request, file, lambda head: "application/pdf" if is_pdf(head) else "", MAX_PDF_BYTES)
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = _PDF_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _whole(
    request: HttpRequest, file: File, type_of: Callable[[bytes], str], most: int
) -> HttpResponse | StreamingHttpResponse:
    """Stream a file whose first bytes say what it is; 415 for any other, and for one that is too large."""
    opened = open_file(file, caller=caller_of(request, file.organization_id), part=PREVIEW)
    first = next(opened.chunks, b"")
    kind = type_of(first)
    if not kind or opened.length > most:
        opened.close()
        return HttpResponse(status=415)
    opened.chunks = chain([first], opened.chunks)
    response = content_response(file, opened)
    response.headers["Content-Type"] = kind
    response.headers["Accept-Ranges"] = "none"  # each part would be a request at the provider of its own
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
