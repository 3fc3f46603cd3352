"""The raw body of an upload, which nothing but our own parser may read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from files_app.exceptions import BodyIncompleteError, BodyStalledError, InvalidRequestError
from files_app.observability import context
from files_app.streams.form import BodySource, FormReader
from files_app.streams.headers import boundary_of


def body_source(request: HttpRequest, reader: type[FormReader] = FormReader) -> BodySource:
    """Return the raw body of an upload; nothing else may read it. Raises InvalidRequestError.

    reader: knows the form's fields.
    """
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise InvalidRequestError("Send the body without Content-Encoding.", param="Content-Encoding")
    return BodySource(
        read=body_reader(request),
        boundary=boundary_of(request.META.get("CONTENT_TYPE", "")),
        length=content_length(request),
        reader=reader,
        chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
        max_overhead_bytes=settings.MULTIPART_OVERHEAD_BYTES,
    )


def body_reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Return what reads the raw body, counts it, and names what can go wrong."""
    stream = request.META["wsgi.input"]
    if socket := request.META.get("gunicorn.socket"):
        socket.settimeout(settings.CLIENT_IDLE_SECONDS)

    def read(size: int) -> bytes:
        began = time.monotonic()
        try:
            chunk: bytes = stream.read(size)
        except TimeoutError as exc:
            raise BodyStalledError("The upload stopped before it was complete. Send it again.") from exc
        except OSError as exc:
            raise BodyIncompleteError("The connection broke before the upload was complete.") from exc
        context.count_received(len(chunk), waited_seconds=time.monotonic() - began)
        return chunk

    return read


def content_length(request: HttpRequest) -> int | None:
    """Return the announced length, None for a chunked body. Raises InvalidRequestError."""
    if request.META.get("HTTP_TRANSFER_ENCODING"):
        return None
    text = request.META.get("CONTENT_LENGTH", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidRequestError("The Content-Length is not a number.", param="Content-Length")
    return int(text)
