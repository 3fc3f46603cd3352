"""What a fake provider holds: blobs on disk and the table of files over them."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .wire import JSON, Blob, MemoryBlob

READ_BYTES = 256 * 1024


class ContentDiscardedError(Exception):
    """The fake was told to keep sizes and digests only."""


@dataclass(frozen=True)
class DiskBlob:
    """A finished upload: its size, its digest and the file that holds it, unless that was discarded."""

    path: Path | None
    size_bytes: int
    sha256: str

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if self.path is None:
            raise ContentDiscardedError(self.sha256)
        remaining = (self.size_bytes if end is None else end) - start
        with self.path.open("rb") as stream:
            stream.seek(start)
            while remaining > 0 and (chunk := stream.read(min(READ_BYTES, remaining))):
                remaining -= len(chunk)
                yield chunk


class Spool:
    """Receives the bytes of one upload; nothing exists until `finish` is called."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream = path.open("wb") if path else None
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        if self._stream:
            self._stream.write(chunk)

    def finish(self) -> DiskBlob:
        if self._stream:
            self._stream.close()
        return DiskBlob(self._path, self.size_bytes, self._digest.hexdigest())

    def abort(self) -> None:
        if self._stream and self._path:
            self._stream.close()
            self._path.unlink(missing_ok=True)


class BlobFolder:
    """Hands out spools in one directory."""

    def __init__(self, directory: Path, *, discard_bytes: bool) -> None:
        self._directory = directory
        self.keeps_bytes = not discard_bytes
        self._numbers = itertools.count()

    def spool(self) -> Spool:
        return Spool(self._directory / f"{next(self._numbers)}.bin" if self.keeps_bytes else None)

    def keep(self, content: bytes) -> DiskBlob:
        """Store `content` even when uploads are discarded: tests plant it to download it."""
        spool = Spool(self._directory / f"{next(self._numbers)}.bin")
        spool.write(content)
        return spool.finish()

    def part_spool(self) -> Spool:
        """Return a spool for one piece of an upload: on disk in any case, since `join` reads it."""
        return Spool(self._directory / f"{next(self._numbers)}.bin")

    def join(self, parts: Sequence[DiskBlob]) -> DiskBlob:
        """Store the concatenation of `parts`."""
        spool = self.spool()
        for part in parts:
            for chunk in part.chunks():
                spool.write(chunk)
        return spool.finish()


@dataclass(frozen=True)
class StoredFile:
    """One file at the provider.

    `created_at` and `expires_at` are Unix seconds; `expires_at` is None for a file that stays.
    `extra` holds what only one dialect knows (a MIME type, a processing state).
    """

    remote_id: str
    filename: str
    purpose: str
    size_bytes: int
    sha256: str
    created_at: int
    expires_at: int | None = None
    extra: dict[str, JSON] = field(default_factory=dict)
    blob: Blob = field(default_factory=lambda: MemoryBlob(b""), repr=False, compare=False)

    def content(self) -> bytes:
        return b"".join(self.blob.chunks())

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()


class Store:
    """The files of one dialect, in the order in which they came."""

    def __init__(self, blobs: BlobFolder) -> None:
        self.blobs = blobs
        self._files: dict[str, StoredFile] = {}
        self._lock = threading.RLock()

    def add(
        self,
        remote_id: str,
        blob: DiskBlob,
        *,
        filename: str,
        purpose: str = "",
        created_at: int | None = None,
        expires_at: int | None = None,
        extra: dict[str, JSON] | None = None,
    ) -> StoredFile:
        stored = StoredFile(
            remote_id=remote_id,
            filename=filename,
            purpose=purpose,
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            created_at=int(time.time()) if created_at is None else created_at,
            expires_at=expires_at,
            extra=dict(extra or {}),
            blob=blob,
        )
        with self._lock:
            self._files[remote_id] = stored
        return stored

    def get(self, remote_id: str) -> StoredFile | None:
        """Return the file, also when it has expired; None when there is none."""
        with self._lock:
            return self._files.get(remote_id)

    def update(self, remote_id: str, **extra: JSON) -> StoredFile:
        with self._lock:
            stored = self._files[remote_id]
            self._files[remote_id] = replace(stored, extra={**stored.extra, **extra})
            return self._files[remote_id]

    def remove(self, remote_id: str) -> bool:
        """Forget the file; False when there was none."""
        with self._lock:
            return self._files.pop(remote_id, None) is not None

    def all(self) -> list[StoredFile]:
        """Return every file in order of arrival, expired ones included."""
        with self._lock:
            return list(self._files.values())

    def ascending(self) -> list[StoredFile]:
        """Return the files that have not expired, oldest first; equal times keep the order of arrival."""
        return sorted((each for each in self.all() if not each.is_expired), key=lambda each: each.created_at)

    def clear(self) -> None:
        with self._lock:
            self._files.clear()
