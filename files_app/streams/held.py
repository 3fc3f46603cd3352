"""Bytes that are held in SPOOL_DIR until they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from files_app.exceptions import TemporaryError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_RETRY_SECONDS = 30.0


class HeldFile:
    """A file without a name, which ends with its process. Raises TemporaryError when the disk refuses."""

    def __init__(self, directory: Path | str, *, prefix: str) -> None:
        with _disk_errors():
            self._file = tempfile.TemporaryFile(dir=directory, prefix=prefix)  # noqa: SIM115  # closed by close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, chunk: bytes) -> None:
        with _disk_errors():
            self._file.write(chunk)

    def rewind(self) -> int:
        """Go back to the first byte, when the last is on the disk; return how many there are."""
        with _disk_errors():
            self._file.flush()
            length = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
        return length

    def tell(self) -> int:
        return self._file.tell()

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield what follows."""
        while chunk := self._read(size):
            yield chunk

    def _read(self, size: int) -> bytes:
        with _disk_errors():
            return self._file.read(size)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise TemporaryError(
            f"The gateway cannot hold the file ({os.strerror(exc.errno or errno.EIO)}). Try again later.",
            code="storage_full" if exc.errno in _FULL else "storage_failed",
            retry_after_seconds=_RETRY_SECONDS,
        ) from exc
