"""Child processes of tests, each with a group of its own that is stopped, frozen and killed as one."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START_TIMEOUT_SECONDS = 60.0


def free_port() -> int:
    """Return a free port below the range of outgoing connections, where a poller can connect to itself."""
    while True:
        port = random.randint(12_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Return the process and all below it: some have groups of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in descendants(int(child)))]


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll until the condition holds; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


class Process:
    """A command with its output in a file. Every signal goes to its whole group."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise RuntimeError("not started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._popen.poll() if self._popen else None

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        if self.is_running:
            raise RuntimeError(f"already running: {self._command}")
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send the signal to the process alone."""
        os.kill(self.pid, number)

    def send_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def freeze(self) -> None:
        """Stop it as a network black hole would look: connections open, no answers."""
        self.send_group(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send_group(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL the whole group at once."""
        if self._popen:
            self.send_group(signal.SIGKILL)
            self._popen.wait()

    def terminate(self, *, seconds: float = 30) -> int:
        """SIGTERM the process, wait for its end, and return its exit code; kill what is left of its group."""
        if self._popen is None:
            raise RuntimeError("not started")
        if self.is_running:
            self.thaw()
            self._popen.terminate()
            try:
                self._popen.wait(seconds)
            finally:
                self.kill()
        return self._popen.wait()
