"""Multipart forms for tests, byte by byte as a client sends them, also as no honest client would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

BOUNDARY = "boundary0123456789"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form. `headers` are further lines; `disposition` replaces the whole first header."""

    name: str
    content: bytes = b""
    filename: str | None = None
    content_type: str | None = None
    headers: tuple[str, ...] = ()
    disposition: str | None = None

    def head(self) -> bytes:
        """Return the header lines with their empty line."""
        named = f'form-data; name="{self.name}"'
        if self.filename is not None:
            named += f'; filename="{self.filename}"'
        lines = [f"Content-Disposition: {self.disposition or named}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        return "\r\n".join([*lines, *self.headers, "", ""]).encode()


def file_part(content: bytes = b"hello", filename: str | None = "a.txt", **kwargs: str) -> Part:
    return Part("file", content, filename, kwargs.get("content_type", "text/plain"))


def purpose_part(purpose: str = "user_data") -> Part:
    return Part("purpose", purpose.encode())


def expiry_parts(seconds: int | str = 3600, anchor: str = "created_at") -> list[Part]:
    return [
        Part("expires_after[anchor]", anchor.encode()),
        Part("expires_after[seconds]", str(seconds).encode()),
    ]


def encode(parts: Iterable[Part], boundary: str = BOUNDARY) -> bytes:
    """Return the complete form."""
    return b"".join(encoded(parts, boundary))


def encoded(parts: Iterable[Part], boundary: str = BOUNDARY) -> Iterator[bytes]:
    """Yield the form piece by piece, for forms without end."""
    for part in parts:
        yield f"--{boundary}\r\n".encode() + part.head() + part.content + b"\r\n"
    yield f"--{boundary}--\r\n".encode()


@dataclass
class Feed:
    """What a server hands out of a socket: never more than asked for, and often less.

    sizes: how large the pieces are, over and over; empty gives as much as asked for. `taken` counts what was
    read up to the answer's first bytes, `discarded` what was read behind them.
    """

    pieces: Iterator[bytes]
    sizes: Sequence[int] = ()
    taken: int = 0
    discarded: int = 0
    is_answered: bool = False
    _rest: bytes = field(default=b"", repr=False)
    _cycle: Iterator[int] | None = field(default=None, repr=False)

    def read(self, size: int) -> bytes:
        if self.sizes:
            self._cycle = self._cycle or cycle(self.sizes)
            size = min(size, next(self._cycle))
        while len(self._rest) < size and (piece := next(self.pieces, b"")):
            self._rest += piece
        out, self._rest = self._rest[:size], self._rest[size:]
        if self.is_answered:
            self.discarded += len(out)
        else:
            self.taken += len(out)
        return out

    def readline(self, size: int = -1) -> bytes:
        raise AssertionError("nothing reads a body line by line")
