"""What the kernel knows of the connections that this process has accepted. Linux only.

The web server keeps its sockets to itself; the process that it runs in can look at them all the same. Each is
looked at through a duplicate, so that a descriptor which is closed and used again meanwhile is no danger.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# `struct tcp_info` of linux/tcp.h, which only grows at its end: where the members stand that are read here.
_STATE, _LAST_SENT, _LAST_RECEIVED, _ACKED, _RECEIVED = 0, 44, 52, 120, 128
_TCP_INFO_BYTES = 136
_TCP_ESTABLISHED, _TCP_CLOSE_WAIT = 1, 8
_OPEN = frozenset({_TCP_ESTABLISHED, _TCP_CLOSE_WAIT})
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """One connection as it stood when it was looked at. Amounts are bytes since it was accepted."""

    inode: int  # names the socket while it lives
    fd: int
    address: str
    received: int
    unread: int  # of those received, what the web server has not taken
    sent: int
    untaken: int  # of those sent, what the client has not acknowledged
    still_seconds: float  # since data last went either way

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits in either direction."""
        return not self.unread and not self.untaken


def are_readable() -> bool:
    """Return whether this system shows what is needed."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe:
        return len(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)) >= _TCP_INFO_BYTES


def accepted() -> list[Reading]:
    """Return a reading of each open connection whose local port this process listens on."""
    ports: set[int] = set()
    found: list[tuple[int, Reading]] = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError), _duplicate(fd) as sock:
            if sock is None:
                continue
            port = sock.getsockname()[1]
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ports.add(port)
            elif reading := _read(sock, fd):
                found.append((port, reading))
    return [reading for port, reading in found if port in ports]


def listening() -> Iterator[socket.socket]:
    """Yield a duplicate of each listening socket, which is closed when the next one is asked for."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError), _duplicate(fd) as sock:
            if sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield sock


def shut(reading: Reading, *, resets: bool) -> bool:
    """End the connection; return whether it was still there.

    Whoever waits on it in the web server sees its end at once. With `resets`, what the client has not taken
    is thrown away when the server closes the socket; else the kernel would keep it for minutes.
    """
    with suppress(OSError), _duplicate(reading.fd) as sock:
        if sock is None or os.fstat(sock.fileno()).st_ino != reading.inode:
            return False
        if resets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.shutdown(socket.SHUT_RDWR)
        return True
    return False


@contextmanager
def _duplicate(fd: int) -> Iterator[socket.socket | None]:
    """Lend a duplicate of a TCP socket; None when it is something else. Raises OSError when it is gone."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        yield None
        return
    duplicate = os.dup(fd)
    try:
        sock = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
    with sock:
        is_tcp = sock.family in {socket.AF_INET, socket.AF_INET6} and sock.type == socket.SOCK_STREAM
        yield sock if is_tcp else None


def _read(sock: socket.socket, fd: int) -> Reading | None:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if info[_STATE] not in _OPEN:
        return None
    acked, received = struct.unpack_from("=QQ", info, _ACKED)
    (last_sent,) = struct.unpack_from("=I", info, _LAST_SENT)
    (last_received,) = struct.unpack_from("=I", info, _LAST_RECEIVED)
    untaken = _queued(sock, termios.TIOCOUTQ)
    return Reading(
        inode=os.fstat(sock.fileno()).st_ino,
        fd=fd,
        address=sock.getpeername()[0].partition("%")[0],  # web servers leave the scope out
        received=received,
        unread=_queued(sock, termios.FIONREAD),
        sent=acked + untaken,
        untaken=untaken,
        still_seconds=min(last_sent, last_received) / 1000,
    )


def _queued(sock: socket.socket, request: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(sock, request, b"\0\0\0\0"))
    return int(count)
