"""The fastest OpenAI-compatible provider that Python allows: takes uploads and forgets them, serves zeros.

Run as a process: `python -m benchmarks.upstream PORT`. It writes no file and holds no body, so that what is
measured in front of it is the gateway.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import sys
import threading
import time
from contextlib import suppress

_IDS = itertools.count(1)
_FIRST_MEGABYTE: dict[str, float] = {}
_MIB = 2**20
_CHUNK = bytes(_MIB)
#: What MSG_TRUNC leaves as it is.
_SCRATCH = bytearray(_MIB)


def serve(port: int) -> None:
    """Serve forever, a thread for each connection."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_handle, args=(connection,), daemon=True).start()


def _handle(connection: socket.socket) -> None:
    with connection:
        while _serve_one(connection):
            pass


def _serve_one(connection: socket.socket) -> bool:
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65_536)
        if not data:
            return False
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    if method == "POST":
        size = _Body(connection, rest).skip_all(head)
        _answer(connection, _file_object(f"file-{next(_IDS):012d}", size))
    elif path.startswith("/_first_megabyte"):
        _answer(connection, {"at": _FIRST_MEGABYTE.get("at")})
    elif path.endswith("/content"):
        _send_zeros(connection, int(path.split("/")[-2].rpartition("-")[2]))
    elif method == "DELETE":
        _answer(connection, {"id": path.rsplit("/", 1)[-1], "object": "file", "deleted": True})
    elif path.partition("?")[0].endswith("/files"):
        _answer(connection, {"object": "list", "data": [], "has_more": False})
    else:
        file_id = path.rsplit("/", 1)[-1]
        _answer(connection, _file_object(file_id, int(file_id.rpartition("-")[2])))
    return True


class _Body:
    """A request's body, most of which is taken off its connection without being copied."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        self._connection = connection
        self._rest = rest
        self._size = 0
        _FIRST_MEGABYTE.clear()

    def skip_all(self, head: bytes) -> int:
        """Take the body; return how many bytes came before its end or that of the connection."""
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        with suppress(EOFError):
            if length:
                self._skip(int(length[1]))
            else:
                while size := int(self._line(), 16):
                    self._skip(size + 2)
                self._line()
        return self._size

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest:
            if not (data := self._connection.recv(1_024)):
                raise EOFError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    def _skip(self, size: int) -> None:
        left = size - len(self._rest)
        self._count(min(size, len(self._rest)))
        self._rest = self._rest[size:]
        while left > 0:
            taken = self._connection.recv_into(_SCRATCH, min(left, len(_SCRATCH)), socket.MSG_TRUNC)
            if not taken:
                raise EOFError
            self._count(taken)
            left -= taken

    def _count(self, size: int) -> None:
        if self._size < _MIB <= self._size + size:
            _FIRST_MEGABYTE["at"] = time.monotonic()
        self._size += size


def _send_zeros(connection: socket.socket, size: int) -> None:
    kind = "application/octet-stream"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode())
    sent = 0
    while sent < size:
        part = _CHUNK[: size - sent]
        connection.sendall(part)
        sent += len(part)


def _file_object(file_id: str, size: int) -> dict[str, object]:
    return {
        "id": file_id,
        "object": "file",
        # Left out for uploads: a body's size on the wire is not the file's.
        "bytes": size if file_id.startswith("file-zeros") else None,
        "created_at": int(time.time()),
        "filename": "benchmark.bin",
        "purpose": "user_data",
        "status": "processed",
    }


def _answer(connection: socket.socket, body: dict[str, object]) -> None:
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    connection.sendall(head.encode() + payload)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
