"""A strict streaming reader for `multipart/form-data` (RFC 7578).

File bytes go to a spool while they arrive. A body without its closing boundary is an error and leaves
nothing behind.
"""

from __future__ import annotations

import email.message
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from .body import Body
from .storage import DiskBlob, Spool
from .wire import Headers

READ_BYTES = 256 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_TEXT_BYTES = 1024 * 1024


class MultipartError(Exception):
    """The body is not well-formed, or ends before its closing boundary."""


@dataclass(frozen=True)
class TextPart:
    """A form field without a filename."""

    name: str
    headers: Headers
    text: str


@dataclass(frozen=True)
class FilePart:
    """A form field with a filename; its bytes are in the blob folder."""

    name: str
    headers: Headers
    filename: str
    blob: DiskBlob

    @property
    def size_bytes(self) -> int:
        return self.blob.size_bytes

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")


Part: TypeAlias = TextPart | FilePart


@dataclass
class Form:
    """The parts in the order in which they arrived."""

    parts: list[Part] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """Return the value of the first text field `name`; None when there is none."""
        texts = (part for part in self.parts if isinstance(part, TextPart))
        return next((part.text for part in texts if part.name == name), None)

    def file(self, name: str) -> FilePart | None:
        files = (part for part in self.parts if isinstance(part, FilePart))
        return next((part for part in files if part.name == name), None)

    def names(self) -> list[str]:
        return [part.name for part in self.parts]

    def index(self, name: str) -> int:
        return self.names().index(name)


def boundary_of(content_type: str | None) -> bytes | None:
    """Return the boundary named by a Content-Type header; None when it is not multipart/form-data."""
    message = email.message.Message()
    message["Content-Type"] = content_type or ""
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        return None
    return boundary.encode("latin-1")


def read_form(
    body: Body, boundary: bytes, new_spool: Callable[[], Spool], on_part: Callable[[Part], None]
) -> Form:
    """Read all parts of `body`; `on_part` sees each as soon as it is complete."""
    reader = _PartReader(body, boundary)
    form = Form()
    while (headers := reader.next_headers()) is not None:
        part = _read_part(headers, reader, new_spool)
        form.parts.append(part)
        on_part(part)
    body.drain()
    return form


def _read_part(headers: Headers, reader: _PartReader, new_spool: Callable[[], Spool]) -> Part:
    name, filename = _disposition(headers)
    if filename is None:
        text = bytearray()
        for chunk in reader.chunks():
            text += chunk
            if len(text) > MAX_TEXT_BYTES:
                raise MultipartError(f"text field {name!r} is over {MAX_TEXT_BYTES} bytes")
        return TextPart(name, headers, text.decode("utf-8", "replace"))
    spool = new_spool()
    try:
        for chunk in reader.chunks():
            spool.write(chunk)
    except BaseException:
        spool.abort()
        raise
    return FilePart(name, headers, filename, spool.finish())


_PARAMETER = re.compile(r';\s*(?P<name>[a-z*]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;\s]*))', re.I)


def _disposition(headers: Headers) -> tuple[str, str | None]:
    """Return the field name and the filename, percent-decoding only what browsers encode (`%22`, CR, LF)."""
    value = headers.get("content-disposition") or ""
    if not value.lower().startswith("form-data"):
        raise MultipartError(f"not a form-data part: {value!r}")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(value):
        quoted = match["quoted"]
        raw = match["token"] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        parameters.setdefault(match["name"].lower(), raw)
    if "name" not in parameters:
        raise MultipartError(f"part without a name: {value!r}")
    filename = parameters.get("filename")
    if filename is not None:
        filename = filename.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
    return parameters["name"], filename


class _PartReader:
    """Splits a body at its boundary, holding no more than one read beyond what it has handed out."""

    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")
        self._is_at_delimiter = False

    def _fill(self) -> None:
        chunk = self._body.read(READ_BYTES)
        if not chunk:
            raise MultipartError("the body ends before its closing boundary")
        self._buffer += chunk

    def next_headers(self) -> Headers | None:
        """Step over the delimiter; return the headers of the part behind it, None after the last."""
        if not self._is_at_delimiter:
            for _ in self.chunks():
                raise MultipartError("bytes in front of the first boundary")
        while len(self._buffer) < 2:
            self._fill()
        mark = bytes(self._buffer[:2])
        if mark == b"--":
            return None
        if mark != b"\r\n":
            raise MultipartError("a boundary must end its line")
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise MultipartError("part headers are too long")
            self._fill()
        raw = bytes(self._buffer[2:end]).decode("utf-8", "replace")
        del self._buffer[: end + 4]
        self._is_at_delimiter = False
        return Headers([_split_header(line) for line in raw.split("\r\n")])

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes up to the next delimiter and step over it."""
        while (found := self._buffer.find(self._delimiter)) < 0:
            safe = len(self._buffer) - len(self._delimiter) + 1
            if safe > 0:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            self._fill()
        if found:
            yield bytes(self._buffer[:found])
        del self._buffer[: found + len(self._delimiter)]
        self._is_at_delimiter = True


def _split_header(line: str) -> tuple[str, str]:
    name, separator, value = line.partition(":")
    if not separator:
        raise MultipartError(f"not a header: {line!r}")
    return name.strip(), value.strip()
