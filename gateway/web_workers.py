"""Workers of the web server that have to beat: the main process ends one that stands, granian starts another.

    watch = Watch(lambda: server.wrks)
    watch.start()
    server.serve(target_loader=watch.loader(load))      # `load(target)` returns the application, in a worker

The main process itself beats to its own watcher for as long as any of its workers does.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

from gateway import beats
from gateway.notices import notice

LOOK_SECONDS = 1.0

Load = Callable[[str], Any]
#: Open in the main process, and in what was forked of it.
_listeners: list[beats.Listener] = []


class Process(Protocol):
    @property
    def pid(self) -> int | None: ...


class Worker(Protocol):
    """Granian's word for one; `inner` is its process."""

    inner: Process


class Watch:
    """The thread of the main process that listens to the workers. Times are those of its clock."""

    def __init__(self, workers: Callable[[], Sequence[Worker]]) -> None:
        self._workers = workers
        self._clock = beats.Clock()
        self._heard: dict[int, float] = {}
        self._first_seen: dict[int, float] = {}
        self._heard_any_at = -math.inf
        self._listener = beats.Listener()
        _listeners.append(self._listener)
        # multiprocessing hands it to workers, however it starts them.
        self._writer = Connection(os.dup(self._listener.writer), readable=False)
        self._listener.close_writer()

    def loader(self, load: Load) -> Load:
        """Return what loads the application in a worker, and lets that worker beat to this process alone."""
        return partial(_load, self._writer, load)

    def start(self) -> None:
        threading.Thread(target=self._run, name="web-workers", daemon=True).start()
        beats.start(lambda: self._clock.now - self._heard_any_at < beats.START_SECONDS)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            now = self._clock.tick()
            if heard := dict.fromkeys(self._listener.read(), now):
                self._heard.update(heard)
                self._heard_any_at = now
            self._judge([worker.inner.pid for worker in list(self._workers()) if worker.inner.pid], now)

    def _judge(self, running: list[int], now: float) -> None:
        self._first_seen = {pid: self._first_seen.get(pid, now) for pid in running}
        self._heard = {pid: at for pid, at in self._heard.items() if pid in self._first_seen}
        for pid, seen in self._first_seen.items():
            silent = now - self._heard.get(pid, seen)
            if silent > (beats.SILENT_SECONDS if pid in self._heard else beats.START_SECONDS):
                _end(pid, round(silent))


def _end(pid: int, silent: int) -> None:
    words = f"Web worker {pid} has said nothing for {silent} s: ending it, and starting another."
    notice("web_worker_stands", words, fields={"pid": pid, "silent_seconds": silent})
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _load(writer: Connection, load: Load, target: str) -> Any:
    for listener in _listeners:
        os.close(listener.reader)  # or the workers would never hear that the main process is gone
    for name in beats.SYSTEMD_VARIABLES:
        os.environ.pop(name, None)
    os.environ[beats.VARIABLE] = str(writer.fileno())
    return load(target)
