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

_IDS = itertools.count(1)
_FIRST_MEGABYTE: dict[str, float] = {}
_CHUNK = bytes(1 << 20)


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
        size = _drain(connection, head, rest)
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


def _drain(connection: socket.socket, head: bytes, rest: bytes) -> int:
    """Read a body to its end: by length, or to the last chunk of a chunked one."""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    buffer = bytearray(1 << 20)
    received, tail = len(rest), rest[-5:]
    _FIRST_MEGABYTE.clear()
    while received < int(length[1]) if length else not tail.endswith(b"0\r\n\r\n"):
        count = connection.recv_into(buffer)
        if not count:
            return received
        if received < 1 << 20 <= received + count:
            _FIRST_MEGABYTE["at"] = time.monotonic()
        received += count
        tail = (tail + bytes(buffer[max(0, count - 5) : count]))[-5:]
    return received


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
