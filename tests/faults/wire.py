"""A client without manners: sends what it likes, as much as it likes, and leaves when it likes."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.files_app.forms import BOUNDARY, encode, file_part, purpose_part

FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(content: bytes, filename: str = "a.txt", purpose: str = "evals") -> bytes:
    """Return an upload's body."""
    return encode([purpose_part(purpose), file_part(content, filename)])


def head(
    method: str, path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]], *, version: str = "1.1"
) -> bytes:
    """Return a request's head."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [
        f"{method} {path} HTTP/{version}",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in pairs),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def upload_head(key: str, length: int | None, **more: str) -> bytes:
    """Return the head of an upload; without a length it is chunked."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    names = {name.replace("_", "-"): value for name, value in more.items()}
    return head(
        "POST", "/v1/files", {"Authorization": f"Bearer {key}", "Content-Type": FORM_TYPE, **framing, **names}
    )


def chunked(body: bytes, size: int = 65_536) -> bytes:
    """Return a body in chunked framing."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it stood on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """One connection."""

    def __init__(self, port: int, *, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def half_close(self) -> None:
        """Say that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def leave(self, *, resets: bool = False) -> None:
        """Close the connection, by a reset where asked."""
        if resets:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def answer(self) -> RawAnswer:
        """Read one answer. Raises EOFError when the connection ends instead."""
        while b"\r\n\r\n" not in self._buffer:
            self._read_more()
        start, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = start.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", first)[1])  # type: ignore[index]
        if 100 <= status < 200:
            return RawAnswer(status, headers, b"")
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._read_more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return RawAnswer(status, headers, body)

    def read_up_to(self, size: int) -> int:
        """Read until at least so many bytes have come; return how many."""
        while len(self._buffer) < size:
            self._read_more()
        return len(self._buffer)

    def rest(self, *, timeout: float | None = None) -> bytes:
        """Read to the end of the connection, whichever way it ends, or until nothing comes any more."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        try:
            while True:
                self._read_more()
        except (EOFError, ConnectionError, TimeoutError):
            return self._buffer

    def _read_more(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise EOFError("the connection ended")
        self._buffer += data
