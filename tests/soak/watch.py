"""What must hold at each moment of a round, and not only behind it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.gateway import ShellError
from tests.processes import descendants
from tests.soak.world import World

MIB = 1024 * 1024
#: What one upload may take above what an idle process has, and what the interpreter keeps for the next.
UPLOAD_BYTES = 32 * MIB
_PERIOD_SECONDS = 0.2


class Watch:
    """Compares counters with rows, and looks at the web server's memory, five times a second.

    `samples`: how many snapshots were compared.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples = 0
        self.peak_bytes = 0
        self.found: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_PERIOD_SECONDS):
            self.peak_bytes = max(self.peak_bytes, web_memory(self._world))
            with contextlib.suppress(ShellError):  # the database is what was broken
                self._compare()

    def _compare(self) -> None:
        for party in self._world.parties:
            balance = self._world.watching("balance", organization=party.tenant.organization)
            excess = balance.pop("excess")
            if excess > 0 or any(balance.values()):
                self.found.append(("drift", f"during the round: {balance}, {excess} over the quota"))
            self.samples += 1


def web_memory(world: World) -> int:
    """Return the resident bytes of the largest process of the web server; 0 while there is none."""
    try:
        return max(map(_resident, descendants(world.stack.processes["web"].pid)))
    except OSError:
        return 0


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
