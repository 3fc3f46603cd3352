"""Reads an upload whose whole body is the file: what a browser sends for a dropped file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from files_app.exceptions import BodyIncompleteError
from files_app.filenames import clean_filename
from files_app.streams.headers import parse_media_type
from providers.objects import ExpiresAfterPart, FilePart, PurposePart, UploadPart


@dataclass(frozen=True, slots=True)
class RawSource:
    """A body that is the file and nothing else; `length` is its Content-Length, which has to be known.

    A client that vanished looks like a plain end of file, so fewer bytes than announced are an error.
    """

    read: Callable[[int], bytes]
    length: int
    filename: str
    content_type: str
    purpose: str
    expires_after_seconds: int | None = None
    chunk_bytes: int = 262_144
    max_overhead_bytes: int = 0

    def parts(self) -> Iterator[UploadPart]:
        """Yield the upload's parts. Raises BodyIncompleteError."""
        yield PurposePart(self.purpose)
        if self.expires_after_seconds is not None:
            yield ExpiresAfterPart(self.expires_after_seconds)
        media_type = str(parse_media_type(self.content_type))
        yield FilePart(clean_filename(self.filename), media_type, self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        rest = self.length
        while rest:
            chunk = self.read(min(self.chunk_bytes, rest))
            if not chunk:
                raise BodyIncompleteError("The upload ended before the file was complete. Send it again.")
            rest -= len(chunk)
            yield chunk
