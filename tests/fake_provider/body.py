"""Reading one request body from a connection, counted, with points at which it can be stopped."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Protocol

from .wire import Headers

MAX_LINE_BYTES = 16 * 1024


class IncompleteBodyError(Exception):
    """The connection ended before the body did, or its chunked framing is broken."""


class _Framing(Protocol):
    is_complete: bool

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes of the body; b"" exactly when it is complete."""


class _FixedLength:
    def __init__(self, stream: io.BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._remaining = length
        self.is_complete = length == 0

    def read(self, limit: int) -> bytes:
        if self.is_complete:
            return b""
        data = self._stream.read1(min(limit, self._remaining))
        if not data:
            raise IncompleteBodyError(f"{self._remaining} bytes of the body are missing")
        self._remaining -= len(data)
        self.is_complete = self._remaining == 0
        return data


class _Chunked:
    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._left_in_chunk = 0
        self.is_complete = False

    def read(self, limit: int) -> bytes:
        if self.is_complete:
            return b""
        if self._left_in_chunk == 0:
            self._left_in_chunk = self._read_chunk_size()
            if self._left_in_chunk == 0:
                self._read_trailers()
                self.is_complete = True
                return b""
        data = self._stream.read1(min(limit, self._left_in_chunk))
        if not data:
            raise IncompleteBodyError("the connection ended inside a chunk")
        self._left_in_chunk -= len(data)
        if self._left_in_chunk == 0 and self._line() != b"":
            raise IncompleteBodyError("a chunk is longer than it said")
        return data

    def _line(self) -> bytes:
        line = self._stream.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise IncompleteBodyError("the connection ended between chunks")
        return line.rstrip(b"\r\n")

    def _read_chunk_size(self) -> int:
        digits = self._line().partition(b";")[0].strip()
        try:
            return int(digits, 16)
        except ValueError as exc:
            raise IncompleteBodyError(f"not a chunk size: {digits!r}") from exc

    def _read_trailers(self) -> None:
        while self._line():
            pass


class Body:
    """One request body.

    `received_bytes` counts what was read of it, without chunk framing.
    `pause_after` names the byte at which `on_pause` is called, once, with nothing read beyond it.
    """

    def __init__(
        self, stream: io.BufferedIOBase, headers: Headers, on_first_read: Callable[[], None]
    ) -> None:
        self._framing = self._choose_framing(stream, headers)
        self._on_first_read: Callable[[], None] | None = on_first_read
        self._on_pause: Callable[[], None] | None = None
        self._pause_after = 0
        self.received_bytes = 0
        self.first_byte_at: float | None = None

    @staticmethod
    def _choose_framing(stream: io.BufferedIOBase, headers: Headers) -> _Framing:
        if (headers.get("transfer-encoding") or "").lower() == "chunked":
            return _Chunked(stream)
        return _FixedLength(stream, int(headers.get("content-length") or 0))

    @property
    def is_complete(self) -> bool:
        return self._framing.is_complete

    def pause_after(self, received_bytes: int, on_pause: Callable[[], None]) -> None:
        self._pause_after = received_bytes
        self._on_pause = on_pause

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes; b"" at the end of the body.

        Raises IncompleteBodyError when the peer stopped early.
        """
        if self._on_first_read and not self.is_complete:
            self._on_first_read()
            self._on_first_read = None
        if self._on_pause:
            if self.received_bytes == self._pause_after:
                on_pause, self._on_pause = self._on_pause, None
                on_pause()
            else:
                limit = min(limit, self._pause_after - self.received_bytes)
        try:
            data = self._framing.read(limit)
        except OSError as exc:
            raise IncompleteBodyError("the connection was reset") from exc
        if data and self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        self.received_bytes += len(data)
        return data

    def read_up_to(self, total_bytes: int) -> None:
        """Read and drop until `total_bytes` of the body were received, or all of it."""
        while self.received_bytes < total_bytes:
            if not self.read(min(65536, total_bytes - self.received_bytes)):
                return

    def drain(self) -> None:
        """Read and drop the rest."""
        while self.read(256 * 1024):
            pass

    def read_all(self, max_bytes: int) -> bytes:
        """Return the whole body. Raises ValueError when it is larger than `max_bytes`."""
        collected = bytearray()
        while chunk := self.read(65536):
            collected += chunk
            if len(collected) > max_bytes:
                raise ValueError(f"body over {max_bytes} bytes")
        return bytes(collected)
