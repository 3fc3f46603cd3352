"""What travels: header lists, answers and the JSON that most of them hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


class Headers:
    """An ordered list of header fields; names compare without case."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.pairs = tuple((name, value) for name, value in pairs)

    def get(self, name: str) -> str | None:
        """Return the first value of `name`, or None when the header is absent."""
        values = self.get_all(name)
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __repr__(self) -> str:
        return f"Headers({list(self.pairs)!r})"


class Blob(Protocol):
    """Bytes at rest that can be read as often as needed."""

    @property
    def size_bytes(self) -> int: ...

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""
        ...


class MemoryBlob:
    """A `Blob` for small bodies."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        view = self.data[start:end]
        if view:
            yield view


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; Content-Length and framing are added by the server."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Blob = field(default_factory=lambda: MemoryBlob(b""))

    def with_headers(self, *pairs: tuple[str, str]) -> Answer:
        """Return a copy in which `pairs` replace the headers of the same names."""
        replaced = {name.lower() for name, _ in pairs}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in replaced)
        return replace(self, headers=(*kept, *pairs))


class RefusedError(Exception):
    """Carries the error answer of a dialect out of its validation."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json_answer(body: JSON, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """Build an `application/json` answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return Answer(status, (("Content-Type", "application/json"), *headers), MemoryBlob(data))


def text_answer(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Answer:
    return Answer(status, (("Content-Type", content_type),), MemoryBlob(text.encode()))


def bytes_answer(
    blob: Blob, content_type: str = "application/octet-stream", range_header: str | None = None
) -> Answer:
    """Build a download; a `range_header` of the form `bytes=N-` or `bytes=N-M` makes it a 206."""
    headers = (("Content-Type", content_type),)
    if range_header is None:
        return Answer(200, headers, blob)
    first, _, last = range_header.removeprefix("bytes=").partition("-")
    start = int(first)
    end = min(int(last) + 1, blob.size_bytes) if last else blob.size_bytes
    if start >= blob.size_bytes:
        return Answer(416, (("Content-Range", f"bytes */{blob.size_bytes}"),))
    content_range = ("Content-Range", f"bytes {start}-{end - 1}/{blob.size_bytes}")
    return Answer(206, (*headers, content_range), BlobSlice(blob, start, end))


@dataclass(frozen=True)
class BlobSlice:
    """The bytes of `blob` from `first` up to, not including, `last`."""

    blob: Blob
    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        return self.last - self.first

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        stop = self.last if end is None else min(self.first + end, self.last)
        return self.blob.chunks(self.first + start, stop)
