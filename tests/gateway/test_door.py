"""The door of a process that stops, in a process of its own: it closes every listening socket there is."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

PROGRAM = """
import socket, sys
from gateway import door
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.readline()
    door.close()
    print("closed", flush=True)
    served = listener.accept()[0]  # who came before is still there
    served.sendall(served.recv(100))
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_a_closed_door_lets_in_who_came_before_and_loses_nobody_after() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        with socket.create_connection(address, timeout=10) as early:
            process.stdin.write("close\n")
            process.stdin.flush()
            assert process.stdout.readline() == "closed\n"
            with pytest.raises(TimeoutError):  # not accepted by the kernel and reset afterwards
                socket.create_connection(address, timeout=0.2)
            early.sendall(b"request")
            assert early.recv(100) == b"request"
        with socket.socket() as late:
            late.settimeout(10)
            process.stdin.write("end\n")
            process.stdin.flush()
            with pytest.raises(ConnectionRefusedError):
                late.connect(address)
