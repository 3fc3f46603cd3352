"""What the machine, or the container, lets a process of ours have."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Host:
    """Limits as they are for this process.

    memory_bytes: the container's limit, or what the machine can still give; None where neither is known
    is_part: memory is limited and cores are not, so that the cores are shared with other containers
    open_files: what one process may have at most; None: as many as it wants
    """

    cores: float
    memory_bytes: int | None
    is_part: bool
    open_files: int | None


def look(root: Path = _ROOT) -> Host:
    """Return what this host has. root: where `proc` and `sys` are."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    total, available = _memory(root)
    folders = list(_cgroups(root))
    quota = min((share for folder in folders if (share := _core_limit(folder))), default=None)
    limits = [limit for folder in folders if (limit := _memory_limit(folder))]
    if total is not None:
        limits = [limit for limit in limits if limit < total]  # a larger one stands for none
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the start raises the soft limit to the hard one
    return Host(
        cores=min(cores, quota or cores),
        memory_bytes=min([*limits, *([] if available is None else [available])], default=None),
        is_part=bool(limits) and quota is None,
        open_files=None if files == resource.RLIM_INFINITY else files,
    )


def _memory(root: Path) -> tuple[int | None, int | None]:
    """Return the bytes that there are, and those that programs can still have without swapping."""
    found = {}
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name in {"MemTotal", "MemAvailable"}:
            found[name] = int(value.split()[0]) * 1024
    return found.get("MemTotal"), found.get("MemAvailable")


def _cgroups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups and of those around them, of both versions."""
    tree = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for base in (tree / name for name in (controllers.split(",") if controllers else [""])):
            own = base / path.lstrip("/")
            # Inside a container the path may be the one outside; the container's own group is the base then.
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(base))


def _core_limit(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not period:
        quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    with suppress(ValueError):  # "max", or nothing
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def _memory_limit(folder: Path) -> int | None:
    with suppress(ValueError):
        return int(_read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes"))
    return None


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
