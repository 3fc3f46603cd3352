"""A TCP proxy on loopback that loses, delays or cuts what passes."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
#: What a message to PostgreSQL prepares, and by which names it executes that.
_PREPARED = re.compile(rb"PREPARE (\w+) AS (.*?)(?=; PREPARE |\0)", re.DOTALL)
_EXECUTED = re.compile(rb"EXECUTE (\w+)")


class FaultProxy:
    """Passes bytes between clients and a server, until it is told otherwise.

    with FaultProxy(postgresql.port) as proxy:
        proxy.lose_answer_to(b"COMMIT", behind=b"DELETE FROM")  # the server does it, and nobody hears of it
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._is_open = True
        self._is_hole = False
        self._refuses = False
        self._losing: tuple[bytes, bytes] | None = None
        self._begun: set[_Passage] = set()
        self._prepared: dict[bytes, bytes] = {}
        self._cut_after: int | None = None
        self.lost = 0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._is_open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def heal(self) -> None:
        """Pass everything on again."""
        with self._changed:
            self._is_hole = self._refuses = False
            self._losing = self._cut_after = None
            self._changed.notify_all()

    def lose_answer_to(self, request: bytes, *, behind: bytes = b"") -> None:
        """Once, pass a request that holds these bytes on, and cut the connection when the answer has come.

        behind: what the same connection has sent since. Others send such requests too: a COMMIT is anybody's.
        """
        with self._changed:
            self._losing = (request, behind)
            self._begun = set()

    def swallow(self) -> None:
        """Take everything and pass nothing on, as a network that drops packets."""
        with self._changed:
            self._is_hole = True

    def refuse(self) -> None:
        """Cut every connection, and each new one at once."""
        with self._changed:
            self._refuses = True
        self.cut_all()

    def cut_uploads_after(self, size: int) -> None:
        """Cut each connection behind so many bytes from the client."""
        with self._changed:
            self._cut_after = size

    def cut_all(self) -> None:
        with self._changed:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._changed:
                self._connections |= {client, server}
            passage = _Passage()
            self._pump(client, server, partial(self._from_client, passage))
            self._pump(server, client, partial(self._from_server, passage))

    def _pump(
        self, source: socket.socket, target: socket.socket, inspect: Callable[[bytes], bytes | None]
    ) -> None:
        def run() -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(CHUNK_BYTES):
                    with self._changed:
                        self._changed.wait_for(lambda: not self._is_hole)
                    passed = inspect(data)
                    if passed is None:
                        break
                    target.sendall(passed)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            with self._changed:
                self._connections -= {source, target}
            # Both directions come here; the second close does nothing.
            source.close()

        threading.Thread(target=run, daemon=True).start()

    def _from_client(self, passage: _Passage, data: bytes) -> bytes | None:
        with self._changed:
            passage.from_client += len(data)
            if self._cut_after is not None and passage.from_client > self._cut_after:
                return None
            said = self._spelled_out(data)
            if self._losing is not None:
                request, behind = self._losing
                if behind in said:
                    self._begun.add(passage)
                if request in said and passage in self._begun:
                    passage.loses_answer = True
                    self._losing = None
        return data

    def _spelled_out(self, data: bytes) -> bytes:
        """Return what data does: statements that PostgreSQL prepares do it when they are executed."""
        prepared = dict(_PREPARED.findall(data))
        self._prepared |= prepared
        executed = [self._prepared.get(name, b"") for name in _EXECUTED.findall(data)]
        return b"" if prepared else b"; ".join([data, *executed])

    def _from_server(self, passage: _Passage, data: bytes) -> bytes | None:
        if passage.loses_answer:
            self.lost += 1
            return None
        return data


class _Passage:
    """What is known about one connection."""

    def __init__(self) -> None:
        self.from_client = 0
        self.loses_answer = False
