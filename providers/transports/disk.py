"""Objects on the local disk: content in one file, its details as JSON in another beside it.

    <root>/<key>                 the bytes
    <root>/<key>.details         what is known about them
    <root>/.incoming/<random>    on its way; a crash leaves these, `sweep` removes them

Publishing is a hard link, which cannot replace a file that exists.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from providers.exceptions import ProviderError, ProviderUnavailableError, RemoteFileNotFoundError
from providers.objects import ByteRange, Download
from providers.transports.details import Details
from providers.transports.objects import (
    ObjectPage,
    ObjectStore,
    StoredObject,
    Writing,
    exists_error,
    read_exactly,
    resolve_range,
)

_DETAILS: Final = ".details"
_INCOMING: Final = ".incoming"
_PAGE_SIZE: Final = 1_000


class DiskStore(ObjectStore):
    """Keeps objects under one directory. It knows no buckets: they are always empty."""

    def __init__(self, root: Path, *, chunk_bytes: int) -> None:
        self._root = root
        self._chunk_bytes = chunk_bytes

    def begin(self, bucket: str, key: str, details: Details) -> Writing:
        path = self._path(key)
        with _disk_errors():
            return _DiskWriting(self, path, key)

    def describe(self, bucket: str, key: str) -> StoredObject:
        path = self._path(key)
        with _disk_errors():
            return self._describe(path, key)

    def open(self, bucket: str, key: str, byte_range: ByteRange | None) -> Download:
        path = self._path(key)
        with _disk_errors():
            file = _open_file(path)
        try:
            return self._open_range(file, byte_range)
        except BaseException:
            file.close()
            raise

    def delete(self, bucket: str, key: str) -> None:
        path = self._path(key)
        with _disk_errors():
            path.unlink()
            _details_path(path).unlink(missing_ok=True)

    def list_page(self, bucket: str, prefix: str, token: str | None) -> ObjectPage:
        keys = (key for key in self._keys() if key.startswith(prefix) and key > (token or ""))
        with _disk_errors():
            page = heapq.nsmallest(_PAGE_SIZE + 1, keys)
        objects = []
        for key in page[:_PAGE_SIZE]:
            with suppress(RemoteFileNotFoundError):  # removed since
                objects.append(self.describe(bucket, key))
        return ObjectPage(tuple(objects), page[_PAGE_SIZE - 1] if len(page) > _PAGE_SIZE else None)

    def sweep(self, bucket: str, prefix: str, before: datetime, is_ours: Callable[[str], bool]) -> int:
        """Remove temporary files, and details whose content never came or is gone."""
        swept = 0
        with _disk_errors():
            for path in (*self.incoming.glob("*"), *self._orphaned_details()):
                with suppress(FileNotFoundError):
                    if path.stat(follow_symlinks=False).st_mtime < before.timestamp():
                        path.unlink()
                        swept += 1
        return swept

    @property
    def incoming(self) -> Path:
        """The directory of files that are not published yet."""
        return self._root / _INCOMING

    def _path(self, key: str) -> Path:
        """Return where `key` lives. Raises RemoteFileNotFoundError for a way out of the root."""
        path = self._root / key
        with _disk_errors():
            if not path.parent.resolve().is_relative_to(self._root.resolve()):
                raise _missing()
        return path

    def _describe(self, path: Path, key: str) -> StoredObject:
        with _open_file(path) as file:
            status = os.fstat(file.fileno())
        body = _read_details(path)
        created = body.get("created_at") if isinstance(body, dict) else None
        return StoredObject(
            key=key,
            bytes=status.st_size,
            created_at=datetime.fromtimestamp(
                created if isinstance(created, int | float) else status.st_mtime, UTC
            ),
            details=Details.from_json(body),
        )

    def _open_range(self, file: BinaryIO, byte_range: ByteRange | None) -> Download:
        total = os.fstat(file.fileno()).st_size
        content_range = None
        first, length = 0, total
        if byte_range is not None:
            first, last = resolve_range(byte_range, total)
            length, content_range = last - first + 1, (first, last, total)
        file.seek(first)
        return Download(
            chunks=self._read(file, length), close=file.close, length=length, content_range=content_range
        )

    def _read(self, file: BinaryIO, length: int) -> Iterator[bytes]:
        with _disk_errors():
            yield from read_exactly(file.read, length, self._chunk_bytes)

    def _keys(self) -> Iterator[str]:
        for path in self._files():
            if path.suffix != _DETAILS:
                yield path.relative_to(self._root).as_posix()

    def _orphaned_details(self) -> Iterator[Path]:
        for path in self._files():
            if path.suffix == _DETAILS and not path.with_suffix("").exists():
                yield path

    def _files(self) -> Iterator[Path]:
        for directory, names, files in os.walk(self._root):
            names[:] = [name for name in names if not name.startswith(".")]
            for name in files:
                path = Path(directory, name)
                if not path.is_symlink():
                    yield path


class _DiskWriting(Writing):
    def __init__(self, store: DiskStore, path: Path, key: str) -> None:
        self._store = store
        self._path = path
        self._key = key
        self._file = self._create()
        self._published: list[Path] = []

    def write(self, chunk: bytes) -> None:
        with _disk_errors():
            self._file.write(chunk)
        self.size += len(chunk)

    def publish(self, details: Details) -> StoredObject:
        body = {**details.to_json(), "created_at": datetime.now(UTC).timestamp()}
        with _disk_errors(), self._file:
            _sync(self._file)
            _make_directory(self._path.parent)
            self._publish_details(json.dumps(body).encode())
            self._link(self._file, self._path)
        return self._store.describe("", self._key)

    def abort(self) -> bool:
        with suppress(OSError):
            self._file.close()
        for path in (Path(self._file.name), *reversed(self._published)):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return not any(path.exists() for path in self._published)

    def _publish_details(self, body: bytes) -> None:
        file = self._create()
        try:
            file.write(body)
            _sync(file)
            self._link(file, _details_path(self._path))
        finally:
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _create(self) -> BinaryIO:
        _make_directory(self._store.incoming)
        path = self._store.incoming / secrets.token_hex(16)
        return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))

    def _link(self, file: BinaryIO, path: Path) -> None:
        try:
            os.link(file.name, path)
        except FileExistsError as exc:
            raise exists_error() from exc
        self._published.append(path)
        Path(file.name).unlink()
        _sync_directory(path.parent)


def _open_file(path: Path) -> BinaryIO:
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


def _details_path(path: Path) -> Path:
    return path.with_name(path.name + _DETAILS)


def _read_details(path: Path) -> object:
    try:
        with _open_file(_details_path(path)) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_directory(path.parent)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Make names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing() -> RemoteFileNotFoundError:
    return RemoteFileNotFoundError("The file is not on the disk (any more).", status_code=404)


_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn an OSError into the ProviderError that it means; paths stay out of the message."""
    try:
        yield
    except OSError as exc:
        raise _translated(exc) from exc


def _translated(exc: OSError) -> ProviderError:
    if exc.errno in _MISSING:
        return _missing()
    if exc.errno in _FULL:
        return ProviderUnavailableError("The gateway's disk is full.", code="storage_full", status_code=507)
    return ProviderUnavailableError(
        f"The gateway's disk failed: {os.strerror(exc.errno or errno.EIO)}.", code="storage_failed"
    )
