"""Signs of life of a process for the one that watches it: over an inherited pipe, to systemd, or to itself.

    beats.start(is_well)     in a part: beats for as long as `is_well()` says so, and ends with its watcher
    beats.Listener           in the watcher: who was heard last, and when

A beat is a line with the sender's process id. Standard library only: the supervisor has nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable

from gateway.notices import notice

#: The variable that tells a part which descriptor to write to.
VARIABLE = "GATEWAY_BEAT_FD"
INTERVAL_SECONDS = 5.0
#: How often a part that has just been started asks itself whether it is there.
FIRST_SECONDS = 0.5
#: Who says nothing for so long stands still.
SILENT_SECONDS = 30.0
#: What a part may take until its first beat, on a slow or busy machine.
START_SECONDS = 90.0
#: A watcher that took so long from one look to the next stood itself: the silence of others says nothing.
GAP_SECONDS = 10.0
#: What systemd tells the process that it started; a part of that process has another watcher.
SYSTEMD_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def start(is_well: Callable[[], bool]) -> None:
    """Beat every INTERVAL_SECONDS from a thread of its own while `is_well()` is true.

    Whoever started this process with a pipe restarts it when it stands, and systemd does so with WatchdogSec.
    Without either, a process that is not well for SILENT_SECONDS ends itself, for whoever restarts what ends.
    """
    beat = _Beat(is_well, _inherited_pipe())
    threading.Thread(target=beat.run, name="beats", daemon=True).start()


def tell_systemd(words: str) -> None:
    """Send READY=1 or WATCHDOG=1 to systemd, where it has asked for that."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(words.encode(), address)


class Clock:
    """Seconds in which the watcher itself was awake: none pass while it, or the machine, is stopped."""

    def __init__(self) -> None:
        self._looked_at = time.monotonic()
        self.now = 0.0

    def tick(self) -> float:
        """Look at the time, at least every GAP_SECONDS, and return it."""
        looked_at, self._looked_at = self._looked_at, time.monotonic()
        passed = self._looked_at - looked_at
        self.now += passed if passed < GAP_SECONDS else 0.0
        return self.now


class Listener:
    """The reading end of a pipe of beats; `writer` is the end for those that beat."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)  # a watcher that stands must not make others stand
        self._rest = b""

    def read(self) -> set[int]:
        """Return the process ids of those that have beaten since the last call."""
        chunks = [self._rest]
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.reader, 65_536):
                chunks.append(chunk)
        *lines, self._rest = b"".join(chunks).split(b"\n")
        return {int(line) for line in lines if line.isdigit()}

    def close(self) -> None:
        os.close(self.reader)
        self.close_writer()

    def close_writer(self) -> None:
        """Leave the writing end to the children: then they hear when this process is gone."""
        if self.writer != -1:
            os.close(self.writer)
        self.writer = -1


class _Beat:
    """What the thread of a part does."""

    def __init__(self, is_well: Callable[[], bool], pipe: int | None) -> None:
        self._is_well = is_well
        self._pipe = pipe
        self._has_beaten = False
        self._well_at = time.monotonic() + START_SECONDS - SILENT_SECONDS

    def run(self) -> None:
        while True:
            if self._asked():
                self._well_at = time.monotonic()
                if not self._has_beaten:
                    tell_systemd("READY=1")
                self._say()
                self._has_beaten = True
            elif self._is_alone() and time.monotonic() - self._well_at > SILENT_SECONDS:
                notice("part_stands", f"Nothing has moved here for {SILENT_SECONDS:g} s: ending the process.")
                os._exit(1)
            self._pause()

    def _asked(self) -> bool:
        try:
            return self._is_well()
        except Exception as error:  # a check that fails says the same as one that says no
            notice("part_unwell", f"The check of this process failed: {error!r}")
            return False

    def _is_alone(self) -> bool:
        return self._pipe is None and "WATCHDOG_USEC" not in os.environ

    def _say(self) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, b"%d\n" % os.getpid())
        if "WATCHDOG_USEC" in os.environ:
            tell_systemd("WATCHDOG=1")

    def _pause(self) -> None:
        """Wait for the next beat; stop this process as a signal would when the watcher is gone."""
        seconds = INTERVAL_SECONDS if self._has_beaten else FIRST_SECONDS
        if self._pipe is None:
            time.sleep(seconds)
            return
        watch = select.poll()
        watch.register(self._pipe, 0)  # errors alone
        if watch.poll(seconds * 1000):
            os.kill(os.getpid(), signal.SIGTERM)
            self._pipe = None


def _inherited_pipe() -> int | None:
    try:
        descriptor = int(os.environ.get(VARIABLE, ""))
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (ValueError, OSError):
        return None
