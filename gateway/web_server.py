"""Granian's command line, whose main process restarts a worker that stands still.

Each worker beats to the main process, which kills one that is silent, so that granian starts another; the
main process beats to its own watcher for as long as any worker does.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import granian.cli
from granian._internal import load_target
from granian.server import MPServer

from gateway import beats
from gateway.notices import notice

LOOK_SECONDS = 1.0
_listener = beats.Listener()
_writer = Connection(os.dup(_listener.writer), readable=False)
_listener.close_writer()


class WatchedServer(MPServer):
    """A server whose workers have to beat."""

    def serve(self, *args: Any, **kwargs: Any) -> None:
        self._clock = beats.Clock()
        self._heard: dict[int, float] = {}
        self._heard_any_at = -math.inf
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        beats.start(self._any_worker_beats)
        super().serve(target_loader=partial(_load, _writer, self.target), wrap_loader=False)

    def _any_worker_beats(self) -> bool:
        return self._clock.now - self._heard_any_at < beats.START_SECONDS

    def _watch(self) -> None:
        first_seen: dict[int, float] = {}
        while True:
            time.sleep(LOOK_SECONDS)
            now = self._clock.tick()
            if heard := dict.fromkeys(_listener.read(), now):
                self._heard.update(heard)
                self._heard_any_at = now
            running = [worker.inner.pid for worker in list(self.wrks)]
            first_seen = {pid: first_seen.get(pid, now) for pid in running}
            self._heard = {pid: at for pid, at in self._heard.items() if pid in first_seen}
            for pid, seen in first_seen.items():
                self._judge(pid, now - self._heard.get(pid, seen))

    def _judge(self, pid: int, silent_seconds: float) -> None:
        if silent_seconds <= (beats.SILENT_SECONDS if pid in self._heard else beats.START_SECONDS):
            return
        silent = round(silent_seconds)
        words = f"Web worker {pid} has said nothing for {silent} s: ending it, and starting another."
        notice("web_worker_stands", words, fields={"pid": pid, "silent_seconds": silent})
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _load(writer: Connection, target: str) -> Any:
    """Load the application in a worker, which beats to the main process and to nobody else."""
    os.close(_listener.reader)  # or it would never hear that the main process is gone
    for name in beats.SYSTEMD_VARIABLES:
        os.environ.pop(name, None)
    os.environ[beats.VARIABLE] = str(writer.fileno())
    return load_target(target)


if __name__ == "__main__":
    granian.cli.Server = WatchedServer  # type: ignore[attr-defined]  # it looks the class up there
    granian.cli.entrypoint()  # type: ignore[no-untyped-call]
