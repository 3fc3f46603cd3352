"""The listening sockets of this process, closed so that no connection is lost that a client believes it has.

A listening socket that is closed resets the connections that wait behind it. Their clients may have sent
their requests by then, and a proxy sends a POST nowhere else after that. So those that are there are accepted
first, and new ones are met with silence meanwhile: their clients knock again a second later, and are refused
before they have sent anything. Linux only; elsewhere a few are lost.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import time
from contextlib import suppress

from gateway.slow_clients.sockets import listening

_SO_ATTACH_FILTER = 26
#: Classic BPF over a TCP segment: drops a SYN without an ACK, which begins a connection, and takes all else.
_DROP_SYN = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # then drop
        (0x06, 0, 0, 0xFFFF_FFFF),  # else take
    )
)
#: For handshakes under way, for the server to accept what waits, and for the clients to send their requests.
_SETTLE_SECONDS = 0.25


def close() -> None:
    """Take no new connection from now on, and return when those that have begun were accepted."""
    if sys.platform != "linux":
        return
    buffer = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(buffer))
    with suppress(OSError):  # a system that cannot: a few connections may be lost in the moment of the stop
        for sock in listening():
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    time.sleep(_SETTLE_SECONDS)
