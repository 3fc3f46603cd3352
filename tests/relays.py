"""Servers that stand between a client and another server on loopback: TLS, IPv6, forward proxies."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Self
from urllib.parse import unquote, urlsplit

_HEAD_END = b"\r\n\r\n"


class Relay:
    """Passes what it is sent to a port of loopback, and back; with a context it speaks TLS to its clients."""

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.target = target
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            _cut(connection)

    def serve(self, client: socket.socket) -> None:
        """Answer one client."""
        self.join(client, socket.create_connection(("127.0.0.1", self.target)))

    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes both ways until one side ends."""
        self._open.add(server)
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)
        back.join()
        self._open.discard(server)
        server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def _begin(self, client: socket.socket) -> None:
        self._open.add(client)
        with contextlib.suppress(OSError), client:
            if self._tls is None:
                self.serve(client)
            else:
                with self._tls.wrap_socket(client, server_side=True) as encrypted:
                    self._open.add(encrypted)
                    self.serve(encrypted)


class ForwardProxy(Relay):
    """A forward proxy: CONNECT for TLS, absolute URLs for plain HTTP.

    It finds every host on loopback: `ports` says behind which port, by name. asked: `CONNECT host:port` and
    `METHOD http://host...` of each request. user: as `name:password` in a URL, without which it answers 407.
    """

    def __init__(self, ports: Mapping[str, int], *, user: str = "") -> None:
        self.asked: list[str] = []
        self._ports = ports
        self._user = user
        super().__init__(0)

    @property
    def url(self) -> str:
        user = f"{self._user}@" if self._user else ""
        return f"http://{user}127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        head = b""
        while _HEAD_END not in head:
            if not (received := client.recv(65_536)):
                return
            head += received
        method, target = head.decode("latin-1").split(" ", 2)[:2]
        self.asked.append(f"{method} {target}")
        if self._user and base64.b64encode(unquote(self._user).encode()) not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host = urlsplit(target if "://" in target else f"//{target}").hostname or ""
        if host not in self._ports:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        server = socket.create_connection(("127.0.0.1", self._ports[host]))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(re.sub(rb"^(\S+) http://[^/]+", rb"\1 ", head, count=1))
        self.join(client, server)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65_536):
            sink.sendall(received)
    # The other direction ends too: a half-closed TLS connection would wait for ever.
    _cut(source)
    _cut(sink)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
