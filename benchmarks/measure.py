"""Reads what a process tree costs: CPU seconds, peak memory above idle, temporary disk. Linux only."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_DISK_SECONDS = 0.1
_RSS = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_PEAK_RSS = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(slots=True)
class Cost:
    """What happened between entering and leaving a `Meter`.

    peak_rss: the sum of what each process held at most, though it need not have been at one time.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    idle_rss: int = 0
    peak_rss: int = 0
    peak_disk: int = 0

    @property
    def rss_above_idle_mib(self) -> float:
        """Peak resident memory above the idle one, in MiB."""
        return (self.peak_rss - self.idle_rss) / 2**20


class Meter:
    """Watches a process and its children while the body of a `with` statement runs.

    The kernel keeps the peak of memory itself. Only folders have to be looked at all the time, which takes
    CPU from what is measured.

    disk: folders whose files are summed up, including deleted ones that are still open.
    """

    def __init__(self, pid: int, *, disk: tuple[Path, ...] = ()) -> None:
        self._root = psutil.Process(pid)
        self._disk = tuple(str(path.resolve()) for path in disk)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch_disk, daemon=True)
        self.cost = Cost()

    def __enter__(self) -> Self:
        self._processes = [self._root, *self._root.children(recursive=True)]
        self._forget_peak()
        self.cost.idle_rss = self._memory(_RSS)
        self._cpu = self._cpu_seconds()
        if self._disk:
            self._thread.start()
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cost.wall_seconds = time.monotonic() - self._started
        self._done.set()
        if self._disk:
            self._thread.join()
        self.cost.cpu_seconds = self._cpu_seconds() - self._cpu
        self.cost.peak_rss = self._memory(_PEAK_RSS)

    def _forget_peak(self) -> None:
        """Let the kernel count from the memory of now: man 5 proc, clear_refs."""
        for process in self._processes:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")

    def _memory(self, kind: re.Pattern[str]) -> int:
        """Return the bytes that the processes which still run say in a line of their status."""
        total = 0
        for process in self._processes:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                if match := kind.search(status):
                    total += int(match[1]) * 1024
        return total

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)

    def _watch_disk(self) -> None:
        while not self._done.wait(_DISK_SECONDS):
            self.cost.peak_disk = max(self.cost.peak_disk, self._open_disk())

    def _open_disk(self) -> int:
        total = 0
        for process in self._processes:
            folder = f"/proc/{process.pid}/fd"
            for descriptor in os.listdir(folder):
                with contextlib.suppress(OSError):
                    path = f"{folder}/{descriptor}"
                    if os.readlink(path).startswith(self._disk):
                        total += os.stat(path).st_size
        return total
