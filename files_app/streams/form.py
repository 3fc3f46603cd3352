"""Reads the form of an upload while it arrives.

Django's parsers are no use here: they buffer, take a chunked body for an empty form, and do not notice one
that was cut off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from files_app.exceptions import InvalidRequestError
from files_app.filenames import DEFAULT_FILENAME, clean_filename
from files_app.streams.envelope import Envelope, Part
from files_app.streams.headers import (
    Disposition,
    MalformedFormError,
    parse_disposition,
    parse_media_type,
)
from providers.objects import ExpiresAfterPart, FilePart, PurposePart, UploadPart

_MAX_TEXT_BYTES = 8_192
_PLAIN_ENCODINGS = frozenset({"", "binary", "8bit", "7bit"})
_ANCHOR = "expires_after[anchor]"
_SECONDS = "expires_after[seconds]"


class FormReader:
    """Yields the parts of an upload form in the order of arrival.

    A subclass has other fields. Raises InvalidRequestError, and BodyIncompleteError for a form without its
    end.
    """

    names: ClassVar = frozenset({"file", "purpose", "expires_after", _ANCHOR, _SECONDS})
    described: ClassVar = f"file, purpose, {_ANCHOR} and {_SECONDS}"

    def __init__(self, source: BodySource) -> None:
        self._envelope = Envelope(
            source.read,
            source.boundary,
            source.length,
            chunk_bytes=source.chunk_bytes,
            max_overhead_bytes=source.max_overhead_bytes,
        )
        self._seen: set[str] = set()
        self._expiry: dict[str, str] = {}

    def __iter__(self) -> Iterator[UploadPart]:
        for part in self._envelope:
            if (read := self._read(part)) is not None:
                yield read
        if len(self._expiry) == 1:
            raise InvalidRequestError(
                f"expires_after needs both {_ANCHOR} and {_SECONDS}.", param="expires_after"
            )

    def _read(self, part: Part) -> UploadPart | None:
        disposition = _disposition_of(part)
        name = self._admit(disposition.name)
        if part.headers.get("content-transfer-encoding", "").lower() not in _PLAIN_ENCODINGS:
            raise InvalidRequestError("Send part bodies as they are, without transfer encoding.", param=name)
        if name == "file":
            return self.file_part(part, disposition)
        return self.field(name, self._text(part, name))

    def file_part(self, part: Part, disposition: Disposition) -> FilePart:
        """Return the file that a part holds."""
        given_type = part.headers.get("content-type", "")
        media_type = parse_media_type(given_type)
        if disposition.filename is None:
            _refuse_text(given_type, media_type.type)
        return FilePart(
            clean_filename(disposition.filename or DEFAULT_FILENAME), str(media_type), part.chunks
        )

    def field(self, name: str, text: str) -> UploadPart | None:
        """Return what a field says; None for the first half of an expiry."""
        if name == "purpose":
            return PurposePart(text)
        if name == "expires_after":
            return _expiry_of_object(text)
        self._expiry[name] = text
        return _expiry_of_fields(self._expiry) if len(self._expiry) == 2 else None

    def _admit(self, name: str) -> str:
        if name not in self.names:
            raise InvalidRequestError(
                f"Unknown form field '{name[:64]}'. The fields are {self.described}.", param=name[:64]
            )
        seen = self._seen | {name}
        if name in self._seen or ("expires_after" in seen and seen & {_ANCHOR, _SECONDS}):
            raise InvalidRequestError(f"The field '{name}' was sent twice.", param=name)
        self._seen = seen
        return name

    def _text(self, part: Part, name: str) -> str:
        text = b""
        for chunk in part.chunks:
            text += chunk
            if len(text) > _MAX_TEXT_BYTES:
                raise InvalidRequestError(f"The field '{name}' is too long.", param=name)
            self._envelope.count_overhead(len(chunk))
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(f"The field '{name}' is not UTF-8 text.", param=name) from None


@dataclass(frozen=True, slots=True)
class BodySource:
    """Where a body comes from. `length` is the Content-Length, None for a chunked body."""

    read: Callable[[int], bytes]
    boundary: str
    length: int | None
    reader: type[FormReader] = FormReader
    chunk_bytes: int = 262_144
    max_overhead_bytes: int = 65_536

    def parts(self) -> Iterator[UploadPart]:
        """Yield the parts of the form."""
        return iter(self.reader(self))


def _disposition_of(part: Part) -> Disposition:
    if "content-disposition" not in part.headers:
        raise MalformedFormError("a part has no Content-Disposition")
    return parse_disposition(part.headers["content-disposition"])


def _refuse_text(given_type: str, media_type: str) -> None:
    """Refuse a text field named `file`: a forgotten `@`, a path, `[object Object]`, several files in one.

    A part without a name that says its type is a file nevertheless: byte arrays in Java come so.
    """
    if media_type.startswith("multipart/"):
        raise InvalidRequestError("Send one file in 'file', not several in one part.", param="file")
    if not given_type or media_type == "text/plain":
        raise InvalidRequestError(
            "'file' holds a text where a file is expected: its part has no filename. Send the content of the "
            "file under its name (with curl: -F file=@name).",
            param="file",
        )


def _expiry_of_object(text: str) -> ExpiresAfterPart:
    """Read `{"anchor": "created_at", "seconds": 3600}`, the form that OpenAPI gives an object by default."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.keys() != {"anchor", "seconds"}:
        raise InvalidRequestError(
            "expires_after is a JSON object with 'anchor' and 'seconds'.", param="expires_after"
        )
    is_whole = isinstance(fields["seconds"], int) and not isinstance(fields["seconds"], bool)
    return _expires_after(fields["anchor"], fields["seconds"] if is_whole else -1)


def _expiry_of_fields(fields: dict[str, str]) -> ExpiresAfterPart:
    text = fields[_SECONDS]
    return _expires_after(fields[_ANCHOR], int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1)


def _expires_after(anchor: object, seconds: int) -> ExpiresAfterPart:
    if anchor != "created_at":
        raise InvalidRequestError("The only anchor of expires_after is 'created_at'.", param=_ANCHOR)
    if seconds < 0:
        raise InvalidRequestError(f"{_SECONDS} must be a whole number.", param=_SECONDS)
    return ExpiresAfterPart(seconds)
