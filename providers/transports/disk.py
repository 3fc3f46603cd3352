"""Objects on the local disk: content in one file, its details as JSON in another beside it.

    <root>/<key>                 the bytes
    <root>/<key>.details         what is known about them
    <root>/.incoming/<random>    on its way; a crash leaves these, `sweep` removes them

Publishing is a hard link, which cannot replace a file that exists. Symbolic links lead nowhere.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

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

#: Lower case throughout, so that a disk which ignores case takes no two for one.
_TREE: Final = re.compile(r"account-[0-9a-f]{32}")
_DETAILS: Final = ".details"
INCOMING: Final = ".incoming"
_PAGE_SIZE: Final = 1_000


def tree_name(uid: UUID) -> str:
    """Return the name of the folder that belongs to one account and to no other, ever."""
    return f"account-{uid.hex}"


def is_tree_name(name: str) -> bool:
    """Whether a folder of this name belongs to an account; also as a disk that ignores case reads it."""
    return bool(_TREE.fullmatch(name.lower()))


class DiskStore(ObjectStore):
    """Keeps objects under one directory. It knows no buckets: they are always empty.

    sees: which keys there are for this store; the others do not exist, whatever is on the disk.
    """

    def __init__(
        self, root: Path, *, chunk_bytes: int, sees: Callable[[str], bool] = lambda key: True
    ) -> None:
        self._root = root
        self._chunk_bytes = chunk_bytes
        self._sees = sees

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
        return self._root / INCOMING

    def _path(self, key: str) -> Path:
        """Return where `key` lives. Raises RemoteFileNotFoundError for one that is not seen, or by a link."""
        path = self._root / key
        with _disk_errors():
            if not self._sees(key) or path.parent.resolve() != self._root.resolve() / Path(key).parent:
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
            if path.suffix != _DETAILS and self._sees(key := path.relative_to(self._root).as_posix()):
                yield key

    def _orphaned_details(self) -> Iterator[Path]:
        for path in self._files():
            content = path.with_suffix("")
            is_details = path.suffix == _DETAILS and self._sees(content.relative_to(self._root).as_posix())
            if is_details and not content.exists():
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
            make_directory(self._path.parent)
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
        make_directory(self._store.incoming)
        path = self._store.incoming / secrets.token_hex(16)
        return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))

    def _link(self, file: BinaryIO, path: Path) -> None:
        try:
            os.link(file.name, path)
        except FileExistsError as exc:
            raise exists_error() from exc
        self._published.append(path)
        Path(file.name).unlink()
        sync_directory(path.parent)


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


def make_directory(path: Path) -> None:
    """Make a directory that only the gateway's user can enter, where it is missing."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(path.parent)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
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
