"""Reads what a process tree costs: CPU seconds, peak memory above idle, temporary disk."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil


@dataclass(slots=True)
class Cost:
    """What happened between entering and leaving a `Meter`."""

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

    disk: folders whose files are summed up, including deleted ones that are still open.
    """

    def __init__(self, pid: int, *, disk: tuple[Path, ...] = ()) -> None:
        self._root = psutil.Process(pid)
        self._disk = tuple(str(path.resolve()) for path in disk)
        self._done = threading.Event()
        self.cost = Cost()

    def __enter__(self) -> Self:
        self._processes = [self._root, *self._root.children(recursive=True)]
        self.cost.idle_rss = self.cost.peak_rss = self._rss()
        self._cpu = self._cpu_seconds()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cost.wall_seconds = time.monotonic() - self._started
        self._done.set()
        self._thread.join()
        self.cost.cpu_seconds = self._cpu_seconds() - self._cpu

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.cost.peak_rss = max(self.cost.peak_rss, self._rss())
            self.cost.peak_disk = max(self.cost.peak_disk, self._open_disk())

    def _rss(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)

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
