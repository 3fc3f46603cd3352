"""Reads a file to its end and hashes it: what comes back is compared with what was uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from providers.objects import Digest


def read_back(
    chunks: Iterator[bytes], close: Callable[[], None], take: Callable[[bytes], object] = len
) -> Digest:
    """Hand every chunk to `take` and return size and checksum of all; `close` is called in any case."""
    sha256, size = hashlib.sha256(), 0
    try:
        for chunk in chunks:
            sha256.update(chunk)
            size += len(chunk)
            take(chunk)
    finally:
        close()
    return Digest(size, sha256.hexdigest())
