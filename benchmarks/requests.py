"""What small requests cost at 1, 8 and 32 clients, beside what the disk takes to keep a promise."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import clients, load
from benchmarks.measure import Meter
from tests.stack import Stack

CLIENTS = (1, 8, 32)
#: The clients are one key of one organization at one account, which may have all threads here.
ENVIRONMENT = {
    **dict.fromkeys(("ACCOUNT_SHARE", "KEY_SHARE", "ORGANIZATION_SHARE", "TRANSFERS_SHARE"), "100"),
    "UPLOADS_PER_MINUTE": "0",
    "WEB_WORKERS": str(os.cpu_count() or 1),
}
_KINDS = {"upload": "upload of 10 KB", "list": "list of 20", "retrieve": "GET of a file"}
#: By kind of request, number of clients and database; the CPU is that of the gateway.
_WANTED = {
    ("upload", 8, "SQLite"): "500/s, 2.5 ms, p99 60 ms",
    ("upload", 8, "PostgreSQL"): "500/s, 2.5 ms, p99 60 ms",
    ("list", 8, "SQLite"): "2,500/s, 0.55 ms",
    ("retrieve", 8, "SQLite"): "5,000/s, 0.33 ms",
}

Add = Callable[[str, str, str], None]


def measure(stack: Stack, label: str, *, seconds: float, database_pid: int | None, add: Add) -> None:
    """Measure each kind of request at each number of clients.

    database_pid: the root of the database's processes, whose CPU is shown beside; None for SQLite
    """
    _, answer = clients.upload(stack.port, stack.api_key, 1024)
    for _ in range(20):
        clients.upload(stack.port, stack.api_key, 1024)
    for kind, name in _KINDS.items():
        for number in CLIENTS:
            with Meter(stack.processes["web"].pid) as meter, Meter(database_pid or os.getpid()) as beside:
                seen = load.from_outside(stack.port, stack.api_key, kind, number, seconds, str(answer["id"]))
            done = seen.count * (1 + load.WARM_UP_SECONDS / seconds)  # the CPU is that of the warm-up too
            what = f"{name}, {number} client{'s' * (number > 1)}, {label}"
            words = [f"{seen.a_second:,.0f}/s", f"{meter.cost.cpu_seconds / done * 1000:.2f} ms CPU"]
            if database_pid:
                words.append(f"{beside.cost.cpu_seconds / done * 1000:.2f} of the database")
            words += [f"p50 {seen.p50_ms:.1f} ms", f"p99 {seen.p99_ms:.1f} ms"]
            words += [f"{seen.refused} refused"] * bool(seen.refused)
            add(what, ", ".join(words), _WANTED.get((kind, number, label), ""))


def measure_fsync(directory: Path, *, add: Add) -> None:
    """Measure how long the disk takes to have a page for good, which each commit waits for."""
    took, path = [], directory / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    took.sort()
    add("fsync of 4 KiB", f"p50 {statistics.median(took):.2f} ms, p99 {took[-3]:.2f} ms", "")
