"""Cuts a multipart body into its parts while it arrives (RFC 2046, section 5.1).

No parser at hand reads a preamble, padding behind a boundary and foreign header fields, and says in one
sentence what is wrong with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from files_app.exceptions import BodyIncompleteError, InvalidRequestError
from files_app.streams.headers import MalformedFormError

_MAX_PADDING_BYTES = 1_024
_MAX_HEADER_LINE_BYTES = 8_192
_MAX_HEADER_BYTES = 16_384
#: Lines are cut off from no more than this, mostly, and the file's beginning waits for no whole chunk.
_FIRST_READ_BYTES = 16_384
_LINE_END = re.compile(rb"[ \t]{0,%d}\r\n" % _MAX_PADDING_BYTES)
_BEGUN_LINE_END = re.compile(rb"[ \t]{0,%d}\r?" % _MAX_PADDING_BYTES)
#: The others of a part are ignored, a Content-Length included: RFC 7578 gives them no meaning.
_READ_HEADERS = frozenset({"content-disposition", "content-type", "content-transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part. headers: by lower-case name, only those that are read. Its `chunks` can be taken once."""

    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Envelope:
    """The parts of a body in the order of arrival, each to be read before the next.

    read: returns as many bytes or fewer, none at the end. length: what was announced, None if nothing was.
    A body is complete only when its closing boundary and its length were reached: a client that vanished
    looks like a plain end of file. Raises InvalidRequestError, and BodyIncompleteError.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        boundary: str,
        length: int | None,
        *,
        chunk_bytes: int,
        max_overhead_bytes: int,
    ) -> None:
        self._read_body = read
        self._delimiter = f"\r\n--{boundary}".encode()
        self._length = length
        self._chunk_bytes = chunk_bytes
        self._max_overhead_bytes = max_overhead_bytes
        self._overhead_bytes = 0
        self._received = 0
        self._buffer = b"\r\n"  # the first boundary may be the first line: then no line end is before it

    def __iter__(self) -> Iterator[Part]:
        self._skip_preamble()
        while not self._closes_here():
            part = Part(self._read_headers(), self._content())
            yield part
            for _ in part.chunks:  # whoever takes no bytes must not shift the parts behind
                pass
        self._skip_epilogue()

    def count_overhead(self, size: int) -> None:
        """Count bytes that are not the file's. Raises InvalidRequestError when they are too many."""
        self._overhead_bytes += size
        if self._overhead_bytes > self._max_overhead_bytes:
            raise InvalidRequestError(
                f"More than {self._max_overhead_bytes:,} bytes stand outside of the file."
            )

    def _skip_preamble(self) -> None:
        has_text = False
        try:
            for chunk in self._content():
                has_text = has_text or not chunk.isspace()
                self.count_overhead(len(chunk))
        except BodyIncompleteError:
            if has_text and self._length in {None, self._received}:
                raise MalformedFormError("the boundary that the Content-Type names is not in it") from None
            raise

    def _closes_here(self) -> bool:
        """Read what stands behind a boundary: two hyphens at the last one, else padding and a line end."""
        while len(self._buffer) < 2:
            self._fill()
        if self._buffer.startswith(b"--"):
            self._buffer = self._buffer[2:]
            return True
        while not (match := _LINE_END.match(self._buffer)):
            if not _BEGUN_LINE_END.fullmatch(self._buffer):
                raise MalformedFormError("other bytes than a line end follow a boundary")
            self._fill()
        self.count_overhead(match.end())
        self._buffer = self._buffer[match.end() :]
        return False

    def _read_headers(self) -> dict[str, str]:
        lines: list[bytes] = []
        size = 0
        while line := self._read_line():
            size += len(line)
            if size > _MAX_HEADER_BYTES:
                raise MalformedFormError(f"the header of a part is over {_MAX_HEADER_BYTES:,} bytes")
            if line[0] in b" \t" and lines:
                lines[-1] += b" " + line.lstrip()
            else:
                lines.append(line)
        return _parsed(lines)

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0 and len(self._buffer) <= _MAX_HEADER_LINE_BYTES + 1:
            self._fill()
        if not 0 <= end <= _MAX_HEADER_LINE_BYTES:
            raise MalformedFormError(f"a header line of a part is over {_MAX_HEADER_LINE_BYTES:,} bytes")
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        self.count_overhead(end + 2)
        return line

    def _content(self) -> Iterator[bytes]:
        """Yield the bytes up to the next boundary, and step behind it."""
        while not self._holds_delimiter():
            ready = len(self._buffer) - self._begun_delimiter()
            chunk, self._buffer = self._buffer[:ready], self._buffer[ready:]
            if chunk:
                yield chunk
            self._fill()
        chunk, _, self._buffer = self._buffer.partition(self._delimiter)
        self.count_overhead(len(self._delimiter))
        if chunk:
            yield chunk

    def _holds_delimiter(self) -> bool:
        # Nearly always there is none, and in most texts not even its first byte, for which CPython looks five
        # times as quickly. For all of it, backwards is two to three times as quick: forwards CPython takes an
        # algorithm that is made for long needles.
        return b"\r" in self._buffer and self._buffer.rfind(self._delimiter) >= 0

    def _begun_delimiter(self) -> int:
        """Return how many bytes at the end of the buffer may be the beginning of a boundary."""
        start = self._buffer.rfind(b"\r", max(0, len(self._buffer) - len(self._delimiter) + 1))
        begun = self._buffer[start:] if start >= 0 else b""
        return len(begun) if self._delimiter.startswith(begun) else 0

    def _fill(self) -> None:
        chunk = self._read()
        if not chunk:
            raise self._incomplete()
        self._buffer += chunk

    def _read(self) -> bytes:
        wanted = self._chunk_bytes if self._received else min(self._chunk_bytes, _FIRST_READ_BYTES)
        if self._length is not None:
            wanted = min(wanted, self._length - self._received)
            if wanted <= 0:
                return b""
        chunk = self._read_body(wanted)
        self._received += len(chunk)
        return chunk

    def _skip_epilogue(self) -> None:
        self.count_overhead(len(self._buffer))
        while chunk := self._read():
            self.count_overhead(len(chunk))
        if self._length is not None and self._received < self._length:
            raise self._incomplete()

    def _incomplete(self) -> BodyIncompleteError:
        return BodyIncompleteError("The request body ended before the form was complete. Send it again.")


def _parsed(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or any(byte in line for byte in (b"\r", b"\n", b"\0")):
            raise MalformedFormError("a header line of a part cannot be read")
        key = name.strip().lower().decode("latin-1")
        if key not in _READ_HEADERS:
            continue
        if key in headers:
            raise MalformedFormError(f"a part has two headers '{key}'")
        try:
            headers[key] = value.strip().decode()
        except UnicodeDecodeError:
            raise MalformedFormError(f"the header '{key}' of a part is not UTF-8") from None
    return headers
