"""Clients that send one small request after the other, in a process of their own.

python -m benchmarks.load PORT KEY {upload,list,retrieve} CLIENTS SECONDS FILE_ID prints what it saw as JSON.

One thread, sockets that stay open and prepared bytes: it takes the gateway little of the CPU.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_BOUNDARY = "benchmark-boundary"
_UPLOAD_BYTES = 10_000
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the clients saw. refused: answers that were no success; they are not counted otherwise."""

    a_second: float
    p50_ms: float
    p99_ms: float
    count: int
    refused: int


class _Client:
    """A connection and the request that it repeats."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self.began = 0.0

    def send(self) -> None:
        self._received, self.began = b"", time.perf_counter()
        self.socket.sendall(self._request)

    def take(self) -> bool | None:
        """Read what is there; return whether the whole answer is a success, None while it is not whole."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise RuntimeError(f"the gateway closed a connection: {self._received[:500]!r}")
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or length is None or len(body) < int(length[1]):
            return None
        return head.startswith(b"HTTP/1.1 200")


def run(port: int, request: bytes, clients: int, seconds: float) -> Seen:
    """Let the clients work for so many seconds, after one in which they warm up."""
    selector, took, refused = selectors.DefaultSelector(), [], 0
    for _ in range(clients):
        client = _Client(port, request)
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    counts_from = time.perf_counter() + WARM_UP_SECONDS
    ends = counts_from + seconds
    while (now := time.perf_counter()) < ends:
        for key, _ in selector.select(timeout=max(0.0, ends - now)):
            client = key.data
            is_success = client.take()
            if is_success is None:
                continue
            if (answered := time.perf_counter()) >= counts_from:
                refused += not is_success
                if is_success:
                    took.append(answered - client.began)
            client.send()
    took.sort()
    if not took:
        raise RuntimeError(f"no request of {clients} clients succeeded; {refused} were refused")
    p50, p99 = took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]
    return Seen(len(took) / seconds, p50 * 1000, p99 * 1000, len(took), refused)


def request(kind: str, port: int, key: str, file_id: str = "") -> bytes:
    """Return the bytes of a request."""
    head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
    if kind == "list":
        return f"GET /v1/files?limit=20 HTTP/1.1\r\n{head}\r\n".encode()
    if kind == "retrieve":
        return f"GET /v1/files/{file_id} HTTP/1.1\r\n{head}\r\n".encode()
    body = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="small.bin"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n{'x' * _UPLOAD_BYTES}\r\n--{_BOUNDARY}--\r\n"
    )
    kind_of_body = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\nContent-Length: {len(body)}"
    return f"POST /v1/files HTTP/1.1\r\n{head}{kind_of_body}\r\n\r\n{body}".encode()


def from_outside(port: int, key: str, kind: str, clients: int, seconds: float, file_id: str = "") -> Seen:
    """Run the clients in a process of their own."""
    arguments = [str(port), key, kind, str(clients), str(seconds), file_id]
    command = [sys.executable, "-m", "benchmarks.load", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return Seen(**json.loads(done.stdout))


if __name__ == "__main__":
    _, port, key, kind, clients, seconds, file_id = sys.argv
    seen = run(int(port), request(kind, int(port), key, file_id), int(clients), float(seconds))
    print(json.dumps(asdict(seen)))
