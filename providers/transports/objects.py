"""What an object store can do, whichever it is: the interface of the disk, S3 and GCS transports.

Nothing foreign passes this line: each transport turns what its library raises into a ProviderError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from providers.exceptions import FileRejectedError, InvalidResponseError, ProviderUnavailableError
from providers.objects import ByteRange, Download
from providers.parsing import parse_content_range
from providers.transports.details import Details

#: Extensions that a key may have, and the content type that its object gets: nothing that a browser runs.
CONTENT_TYPES: Final = {
    ".jsonl": "application/jsonl",
    ".json": "application/json",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
    ".zip": "application/zip",
    ".bin": "application/octet-stream",
}

#: What follows where nothing can be written to an object once it is there.
WITHOUT_LATE_DETAILS: Final = (
    "the SHA-256 of files above 8 MiB, and a purpose that a form has behind its file, are kept in the index "
    "alone"
)


def content_type_of(key: str) -> str:
    """Return the content type of the object `key`, which follows from its extension."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as its store describes it; `details` is None when the gateway did not write it."""

    key: str
    bytes: int
    created_at: datetime
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of a listing in key order; `next_token` is None on the last page."""

    objects: tuple[StoredObject, ...]
    next_token: str | None = None


class Writing(ABC):
    """One object on its way into a store. Nobody sees it before `publish` returns."""

    size = 0

    @abstractmethod
    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ProviderError."""

    @abstractmethod
    def publish(self, details: Details) -> StoredObject:
        """Make the object visible, unless its key is taken; what is stored has been compared with what came.

        `details` may know more than those given at the start. Raises ProviderError; call `abort` then.
        """

    @abstractmethod
    def abort(self) -> bool:
        """Leave nothing behind, also after a `publish` that failed, and return whether that is certain."""


class ObjectStore(ABC):
    """A place for objects: `bucket` and `key` name one. All methods raise ProviderError."""

    @abstractmethod
    def begin(self, bucket: str, key: str, details: Details) -> Writing:
        """Start to write an object that must not exist yet."""

    @abstractmethod
    def describe(self, bucket: str, key: str) -> StoredObject:
        """Return what the store knows about an object. Raises RemoteFileNotFoundError."""

    @abstractmethod
    def open(self, bucket: str, key: str, byte_range: ByteRange | None) -> Download:
        """Open an object's bytes, which are pulled from the store as they are read."""

    @abstractmethod
    def delete(self, bucket: str, key: str) -> None:
        """Remove an object. Raises RemoteFileNotFoundError when it is gone already."""

    @abstractmethod
    def list_page(self, bucket: str, prefix: str, token: str | None) -> ObjectPage:
        """Return a page of the objects whose keys start with `prefix`."""

    @abstractmethod
    def sweep(self, bucket: str, prefix: str, before: datetime, is_ours: Callable[[str], bool]) -> int:
        """Remove what writers that died left behind `before` a time; return how many there were.

        Only keys that start with `prefix` and that `is_ours` accepts are touched.
        """

    def missing_features(self, bucket: str, key: str) -> tuple[str, ...]:
        """Return what the store lacks of what the gateway uses, and what follows from that.

        It is tried on an object made for that, whose bytes and details are lost. Raises ProviderError.
        """
        return ()


def resolve_range(byte_range: ByteRange, total: int) -> tuple[int, int]:
    """Return the first and last position of a range in `total` bytes. Raises FileRejectedError (416)."""
    if byte_range.first is None:
        first, last = max(0, total - (byte_range.last or 0)), total - 1
    else:
        first = byte_range.first
        last = total - 1 if byte_range.last is None else min(byte_range.last, total - 1)
    if first > last:
        raise range_error()
    return first, last


def part_of_object(status: int, content_range: str, asked: ByteRange | None) -> tuple[int, int, int] | None:
    """Return which part of an object an answer holds, None for the whole: its status alone says which.

    Raises InvalidResponseError for a part that was not asked for, or that is not described.
    """
    if status != 206:
        return None
    part = parse_content_range(content_range)
    if asked is None or part is None:
        raise InvalidResponseError("The store answered with a part of the object that it was not asked for.")
    return part


def read_exactly(read: Callable[[int], bytes], length: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yield `length` bytes; a body that ends earlier raises instead of looking complete."""
    while length:
        chunk = read(min(length, chunk_bytes))
        if not chunk:
            raise ProviderUnavailableError("The store's answer ended early.", answered=False)
        length -= len(chunk)
        yield chunk


def range_error() -> FileRejectedError:
    """Return the error for a range that lies outside of the file."""
    return FileRejectedError(
        "The range lies outside of the file.", status_code=416, code="range_not_satisfiable", param="Range"
    )


def exists_error() -> FileRejectedError:
    """Return the error for a key that is taken: files are written once and never replaced."""
    return FileRejectedError(
        "The store already holds a file under this id.", status_code=409, code="file_exists"
    )


def archived_error() -> FileRejectedError:
    """Return the error for a file whose bytes its store has put away."""
    return FileRejectedError(
        "The store has archived this file. It can be read once it has been restored there.",
        status_code=409,
        code="file_archived",
    )


def checksum_error() -> InvalidResponseError:
    """Return the error for a store that confirms another checksum than that of what was sent."""
    return InvalidResponseError("The store holds other bytes than were sent: its checksum differs.")


def size_error(stored: int, sent: int) -> InvalidResponseError:
    """Return the error for a store that confirms another size than was sent."""
    return InvalidResponseError(f"The store holds {stored} bytes of {sent} that were sent.")
