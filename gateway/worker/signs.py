"""Signs of life within the worker process, for whoever decides whether to restart it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Watched:
    silent_seconds: Callable[[], float]
    at_most_seconds: float


_watched: dict[str, _Watched] = {}


def watch(name: str, silent_seconds: Callable[[], float], *, at_most_seconds: float) -> None:
    """Count a part as standing still when it has shown no progress for longer than that."""
    _watched[name] = _Watched(silent_seconds, at_most_seconds)


def standing() -> list[str]:
    """Return the names of the parts that stand still."""
    return [name for name, part in _watched.items() if part.silent_seconds() > part.at_most_seconds]


def is_well() -> bool:
    """Whether every part of this worker makes progress; False asks for a restart of the process."""
    return not standing()
