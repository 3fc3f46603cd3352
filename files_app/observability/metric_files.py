"""The files through which the processes of a host share their metrics.

prometheus_client writes to memory that is mapped from a file with holes. Where the disk has no room for
one, the kernel ends the process (SIGBUS). Ours have none: all of their room is taken before they are
mapped. While there is no room, values are kept in memory; they are shared when there is some again.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import time
from pathlib import Path
from typing import BinaryIO

import structlog
from prometheus_client import mmap_dict, values

log = structlog.get_logger(__name__)

#: How often a process looks whether there is room again.
RETRY_SECONDS = 5.0
_FIRST_BYTES = 1 << 16
_HEAD_BYTES = 8  # a whole number, how many bytes are used, and four bytes to spare
_ENTRY_BYTES = 28  # what an entry takes beside its key, at most


class MetricFile(mmap_dict.MmapedDict):
    """A dict of numbers in prometheus_client's format, in a file as far as the disk has room.

    Not thread safe: prometheus_client holds a lock around it.
    """

    def __init__(self, filename: str) -> None:
        self._fname = filename
        self._f: BinaryIO | None = None  # type: ignore[assignment]  # none while values are in memory
        self._retry_at = 0.0
        self._positions: dict[str, int] = {}
        kept = _kept(Path(filename))
        self._used = len(kept)
        self._m = _memory(kept, max(_FIRST_BYTES, len(kept)))
        for key, _, _, position in self._read_all_values():  # type: ignore[no-untyped-call]
            self._positions[key] = position
        self._settle(len(self._m))

    def _init_value(self, key: str) -> None:
        """Make room for a value, and a value of 0."""
        if self._used + len(key.encode()) + _ENTRY_BYTES > len(self._m):
            self._settle(2 * len(self._m))
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        if self._f is None and time.monotonic() >= self._retry_at:
            self._settle(len(self._m))
        super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._m.close()
        if self._f:
            self._f.close()
            self._f = None

    def _settle(self, capacity: int) -> None:
        """Move to a new file of so many bytes, or to memory when the disk has no room for one."""
        content = self._m[: self._used]
        was_away = self._retry_at > 0
        old, self._f = self._f, None
        try:
            self._f = _reserved(Path(self._fname), content, capacity)
        except OSError as error:
            self._m = _memory(content, capacity)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not was_away:
                log.warning("metrics_not_shared", error=os.strerror(error.errno or 0))
        else:
            self._m = mmap.mmap(self._f.fileno(), capacity)
            self._retry_at = 0.0
            if was_away:
                log.info("metrics_shared_again")
        finally:
            self._capacity = capacity
            if old:
                old.close()


def _kept(path: Path) -> bytes:
    """Return what an earlier process of this number has left, or the beginning of an empty file."""
    with contextlib.suppress(OSError, struct.error, RuntimeError, ValueError):
        content = path.read_bytes()
        used: int = struct.unpack_from("i", content)[0]
        if used >= _HEAD_BYTES:
            for _ in mmap_dict._read_all_values(content, used):  # type: ignore[no-untyped-call]
                pass  # raises where it is damaged
            return content[:used]
    return struct.pack("ii", _HEAD_BYTES, 0)


def _memory(content: bytes, capacity: int) -> mmap.mmap:
    memory = mmap.mmap(-1, capacity)
    memory[: len(content)] = content
    return memory


def _reserved(path: Path, content: bytes, capacity: int) -> BinaryIO:
    """Put a file in place of the one at `path`, all of whose bytes have their room. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")  # no reader takes it for one of metrics
    file = draft.open("w+b", buffering=0)
    try:
        os.posix_fallocate(file.fileno(), 0, capacity)
        # Some file systems give a block to a page only when it is written to.
        if file.write(content.ljust(capacity, b"\0")) < capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        draft.rename(path)
    except BaseException:
        file.close()
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return file


# Each of prometheus_client's values asks for its file by this name.
values.MmapedDict = MetricFile  # type: ignore[attr-defined, assignment]
