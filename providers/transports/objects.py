"""What an object store can do, whichever it is: the interface of the disk, S3 and GCS transports.

Nothing foreign passes this line: each transport turns what its library raises into a ProviderError.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final

import google_crc32c

from providers.exceptions import FileRejectedError, InvalidResponseError, ProviderUnavailableError
from providers.objects import ByteRange, Download, JSONObject, MiB

#: S3 wants at least 5 MiB and GCS a multiple of 256 KiB (`providers/bedrock.md` 8, `vertex.md` 2).
PART_BYTES = 8 * MiB

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

_MAX_UNPACKED_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Details:
    """What is kept beside an object's bytes, so that the index can be rebuilt from the store."""

    filename: str
    content_type: str
    purpose: str | None = None
    expires_after_seconds: int | None = None
    sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the details as a JSON object; `from_json` reads it back."""
        return {
            "filename": self.filename,
            "content_type": self.content_type,
            "purpose": self.purpose,
            "expires_after_seconds": self.expires_after_seconds,
            "sha256": self.sha256,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_json(cls, body: object) -> Details | None:
        """Read details, None when `body` holds none: whoever can write to the store may have made it."""
        if not isinstance(body, Mapping) or not isinstance(body.get("filename"), str):
            return None
        expires, metadata = body.get("expires_after_seconds"), body.get("metadata")
        return cls(
            filename=body["filename"],
            content_type=_text(body, "content_type") or "application/octet-stream",
            purpose=_text(body, "purpose"),
            expires_after_seconds=expires if type(expires) is int and 0 < expires < 2**31 else None,
            sha256=_text(body, "sha256"),
            metadata={str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, Mapping) else {},
        )


def _text(body: JSONObject, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def content_type_of(key: str) -> str:
    """Return the content type of the object `key`, which follows from its extension."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


def pack_details(details: Details, *, max_bytes: int) -> dict[str, str]:
    """Return object metadata that is plain ASCII, whatever the names and values hold.

    `details` is base64url of zlib-compressed JSON: percent-encoding would not get a name of 255 emoji into
    S3's 2 KB. Purpose, lifetime and checksum stay readable beside it. Raises FileRejectedError above
    `max_bytes`.
    """
    words = {"filename": details.filename, "content_type": details.content_type}
    body = {**words, "metadata": dict(details.metadata)}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    packed = {"details": base64.urlsafe_b64encode(zlib.compress(text, 9)).decode("ascii"), **facts(details)}
    if sum(len(name) + len(value) for name, value in packed.items()) > max_bytes:
        raise FileRejectedError(
            f"File name and metadata take more than the {max_bytes} bytes that the store keeps with a file.",
            code="metadata_too_large",
            param="metadata",
            status_code=400,
        )
    return packed


def facts(details: Details) -> dict[str, str]:
    """Return the details that may be known only after the last byte, each in letters, digits and hyphens."""
    known = {
        "purpose": details.purpose,
        "expires-after": details.expires_after_seconds,
        "sha256": details.sha256,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def unpack_details(metadata: Mapping[str, str]) -> Details | None:
    """Read what `pack_details` and `facts` wrote; None for an object that the gateway did not write."""
    try:
        packed = base64.urlsafe_b64decode(metadata["details"])
        body = json.loads(zlib.decompressobj().decompress(packed, _MAX_UNPACKED_BYTES))
    except (KeyError, ValueError, RecursionError, binascii.Error, zlib.error):
        return None
    details = Details.from_json(body)
    seconds = metadata.get("expires-after", "")
    return details and replace(
        details,
        purpose=metadata.get("purpose"),
        sha256=metadata.get("sha256"),
        expires_after_seconds=int(seconds[:9]) if seconds.isascii() and seconds.isdigit() else None,
    )


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


class CRC32C:
    """A running checksum, which S3 and GCS verify what they receive with."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._value = google_crc32c.extend(self._value, chunk)

    def __str__(self) -> str:
        """Base64 of the big-endian value, as S3 and GCS spell it."""
        return base64.b64encode(self._value.to_bytes(4, "big")).decode("ascii")


class PartWriting(Writing):
    """Writes an object in parts of PART_BYTES, of which it holds one. The last is kept until `publish`."""

    def __init__(self, details: Details) -> None:
        self._details = details
        self._crc32c = CRC32C()
        self._begin_part()

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._crc32c.update(chunk)
        while chunk:
            if self._part.tell() == PART_BYTES:
                self._send_part()
                self._begin_part()
            head = chunk[: PART_BYTES - self._part.tell()]
            self._part.write(head)
            self._part_crc32c.update(head)
            chunk = chunk[len(head) :]

    def _begin_part(self) -> None:
        self._part = BytesIO()
        self._part_crc32c = CRC32C()

    def _rewound(self) -> BytesIO:
        """Return the part in hand, to be read from its start."""
        self._part.seek(0)
        return self._part

    @abstractmethod
    def _send_part(self) -> None:
        """Send the part in hand, which is not the last."""


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


def read_exactly(read: Callable[[int], bytes], length: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yield `length` bytes; a body that ends earlier raises instead of looking complete."""
    while length:
        chunk = read(min(length, chunk_bytes))
        if not chunk:
            raise ProviderUnavailableError("The store's answer ended early.", answered=False)
        length -= len(chunk)
        yield chunk


def parse_content_range(value: str) -> tuple[int, int, int] | None:
    """Return (first, last, total) of a Content-Range, None when it is not there or not understood."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", value)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


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


def size_error(stored: int, sent: int) -> InvalidResponseError:
    """Return the error for a store that confirms another size than was sent."""
    return InvalidResponseError(f"The store holds {stored} bytes of {sent} that were sent.")
