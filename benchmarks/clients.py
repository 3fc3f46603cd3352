"""Clients that cost as little as a client can: prepared bytes through a socket."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

_BLOCK = bytes(1 << 20)
_BOUNDARY = "benchmark-boundary"


def upload(
    port: int, key: str, size: int, *, path: str = "/v1/files", headers: str = ""
) -> tuple[float, Any]:
    """Upload `size` zero bytes and return the monotonic time of the first byte sent, and the answer."""
    start = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="zeros.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n{headers}"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(start) + size + len(end)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        began = time.monotonic()
        connection.sendall(head + start)
        left = size
        while left:
            left -= connection.send(_BLOCK[:left] if left < len(_BLOCK) else _BLOCK)
        connection.sendall(end)
        return began, _answer(connection)


def download(port: int, key: str, path: str) -> tuple[float, int]:
    """Download and return the seconds to the first byte of the body and the body's size."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        "Connection: close\r\n\r\n"
    )
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        began = time.monotonic()
        connection.sendall(head.encode())
        received = b""
        while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
            data = connection.recv(65_536)
            if not data:
                break
            received += data
        first = time.monotonic() - began
        status, _, body = received.partition(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(received.decode())
        announced = int(re.search(rb"(?i)content-length: *(\d+)", status)[1])  # type: ignore[index]
        size = len(body)
        while size < announced and (count := connection.recv_into(buffer)):
            size += count
        return first, size


def _answer(connection: socket.socket) -> Any:
    received = b""
    while data := connection.recv(65_536):
        received += data
    if not re.match(rb"HTTP/1\.1 200", received):
        raise RuntimeError(received.decode())
    return json.loads(received.partition(b"\r\n\r\n")[2])
