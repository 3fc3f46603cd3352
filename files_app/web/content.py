"""A file's bytes as an answer: headers under which nothing of it runs, ranges, validators."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import parse_etags

from files_app.filenames import attachment, extension_of
from files_app.models import File
from files_app.services.reading.downloads import OpenedFile
from files_app.streams.headers import DEFAULT_CONTENT_TYPE, parse_media_type
from files_app.web.errors import ErrorAnswer
from providers.objects import ByteRange, Capabilities

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.IGNORECASE)

#: Content types that are safe to name; everything else is bytes.
SAFE_CONTENT_TYPES = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/octet-stream",
        "application/pdf",
        "application/x-ndjson",
        "application/zip",
        "audio/mpeg",
        "audio/wav",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
        "video/mp4",
    }
)
CACHE_CONTROL = "private, no-store"


def content_response(file: File, opened: OpenedFile) -> StreamingHttpResponse:
    """Return a streaming answer with a length, so that a broken transfer looks broken."""
    headers = content_headers(file, opened.content_type)
    headers["Content-Length"] = str(opened.length)
    status = 200
    headers["Accept-Ranges"] = "bytes" if opened.accepts_ranges else "none"
    if opened.content_range is not None:
        first, last, total = opened.content_range
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        status = 206
    return StreamingHttpResponse(_ClosingStream(opened), status=status, headers=headers)


def archive_response(name: str, opened: OpenedFile) -> StreamingHttpResponse:
    """Return an archive of files, with the length that it will have."""
    headers = {
        "Content-Type": opened.content_type,
        "Content-Length": str(opened.length),
        "Content-Disposition": attachment(name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": CACHE_CONTROL,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return StreamingHttpResponse(_ClosingStream(opened), headers=headers)


def description(file: File, can: Capabilities) -> HttpResponse:
    """Return the headers of a download, without its bytes."""
    headers = content_headers(file, file.content_type)
    headers["Accept-Ranges"] = "bytes" if can.ranges else "none"
    # Not every provider tells the size of a file that was made elsewhere, and some give back another text.
    if can.content == "exact" and (file.sha256 or file.bytes):
        headers["Content-Length"] = str(file.bytes)
    return HttpResponse(headers=headers)


def content_headers(file: File, content_type: str) -> dict[str, str]:
    """Return headers under which no browser runs what somebody uploaded."""
    headers = {
        "Content-Type": safe_content_type(content_type, file.filename),
        "Content-Disposition": attachment(file.filename or file.file_id),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": CACHE_CONTROL,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if file.sha256:
        headers["ETag"] = etag_of(file)
    return headers


def safe_content_type(content_type: str, filename: str) -> str:
    """Return the type if it is on the list, else bytes.

    A text without a charset is bytes too: clients would take it for Latin-1. JSONL is no JSON document.
    """
    media_type = parse_media_type(content_type)
    if media_type.type not in SAFE_CONTENT_TYPES:
        return DEFAULT_CONTENT_TYPE
    if media_type.type.startswith("text/") and media_type.charset is None:
        return DEFAULT_CONTENT_TYPE
    if media_type.type == "application/json" and extension_of(filename) == ".jsonl":
        return "application/jsonl"
    return str(media_type)


def etag_of(file: File) -> str:
    """Return the strong entity tag of the content; empty where its checksum is not known."""
    return f'"{file.sha256}"' if file.sha256 else ""


def is_unmodified(request: HttpRequest, file: File) -> bool:
    """Whether the client has these bytes already."""
    given = [etag.removeprefix("W/") for etag in parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))]
    return bool(file.sha256) and ("*" in given or etag_of(file) in given)


def unmodified(file: File) -> HttpResponse:
    """Return 304, with the headers of a 200 that RFC 9110 wants in it."""
    return HttpResponse(status=304, headers={"ETag": etag_of(file), "Cache-Control": CACHE_CONTROL})


def requested_range(request: HttpRequest, file: File) -> ByteRange | None:
    """Return the single range that is asked for; None for none, or for one that may be ignored (RFC 9110).

    A client that has a part of other bytes says so in `If-Range` and gets the whole file.
    """
    etag = etag_of(file)
    if request.META.get("HTTP_IF_RANGE", etag) != etag:
        return None
    match = _RANGE.fullmatch(request.META.get("HTTP_RANGE", "").strip())
    if match is None or not (match[1] or match[2]):
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def announced_bytes(file: File, byte_range: ByteRange | None) -> int:
    """Return how many bytes a download will be as far as the index knows; 0 where it does not."""
    if byte_range is None:
        return file.bytes
    if byte_range.first is None:
        return min(file.bytes, byte_range.last or 0)
    last = file.bytes - 1 if byte_range.last is None else min(byte_range.last, file.bytes - 1)
    return max(0, last - byte_range.first + 1)


def is_satisfiable(byte_range: ByteRange, file: File) -> bool:
    """Whether any byte of the range exists; what the index does not know, the provider decides."""
    if not file.sha256:
        return True
    if byte_range.first is None:
        return byte_range.last != 0
    return byte_range.first < file.bytes


def range_not_satisfiable(file: File) -> ErrorAnswer:
    """Return what 416 says."""
    return ErrorAnswer(
        416,
        f"The range is outside of the file's {file.bytes} bytes.",
        param="Range",
        code="range_not_satisfiable",
        headers={"Content-Range": f"bytes */{file.bytes}"},
    )


class _ClosingStream:
    """Closes the provider's connection when the server is done, also after the client went away."""

    def __init__(self, opened: OpenedFile) -> None:
        self._opened = opened

    def __iter__(self) -> Iterator[bytes]:
        first = next(self._opened.chunks, None)
        if first is not None:
            yield first
            # A thread of the server sends it. Where cores are few, to read on would keep it from its one.
            os.sched_yield()
            yield from self._opened.chunks

    def close(self) -> None:
        self._opened.close()
