"""Keeps the folder that is the broker usable through a full disk.

kombu's transport writes a message where readers see it, so that a disk without room leaves half a one there,
which ends the worker that reads it, and each that follows it. Here a message appears when it is whole.
What nobody can read, of an earlier version or after a crash of the host, is set aside as `*.broken`.
"""

import contextlib
import fcntl
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

log = structlog.get_logger(__name__)


class FolderChannel(filesystem.Channel):
    """Names messages as kombu does, only that the order of names is that of time."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu's own
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        _publish(Path(self.data_folder_out) / name, payload)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] == f"{queue}.msg":
                message = _take(Path(self.data_folder_in) / name)
                if message is not None:
                    return message
        raise Empty

    def get_table(self, exchange: str) -> list[Any]:
        file = self._exchange_file(exchange)  # type: ignore[attr-defined]  # which its types lack
        try:
            return [filesystem.exchange_queue_t(*row) for row in loads(file.read_bytes())]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ChannelError(f"Cannot open {file}") from error
        except (ValueError, TypeError):
            _set_aside(file)
            return []  # every part that starts writes its own row again

    def _queue_bind(self, exchange: Any, routing_key: Any, pattern: Any, queue: Any) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        if row in self.get_table(exchange):
            return
        file = self._exchange_file(exchange)  # type: ignore[attr-defined]
        try:
            with (file.parent / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # held for as long as it takes to write a few bytes
                _publish(file, [row, *self.get_table(exchange)])
        except OSError as error:
            raise ChannelError(f"Cannot open {file}") from error


def _publish(path: Path, content: Any) -> None:
    """Let a file appear whole, or not at all. Raises ChannelError."""
    draft = path.parent / f".{uuid.uuid4()}.draft"
    try:
        draft.write_text(dumps(content), encoding="utf-8")
        draft.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ChannelError(f"Cannot write to {path.parent}: {os.strerror(error.errno or 0)}") from error


def _take(path: Path) -> Any:
    """Return the message in the file and remove it; None when another worker has, or nobody can read it."""
    try:
        content = path.read_bytes()
        message = loads(content)
    except OSError:
        return None
    except (ValueError, RecursionError):
        _set_aside(path)
        return None
    try:
        path.unlink()  # by one worker alone
    except OSError:
        return None
    return message


def _set_aside(path: Path) -> None:
    log.warning("broken_message", file=path.name)
    with contextlib.suppress(OSError):
        path.rename(path.with_name(f"{path.name}.broken"))


filesystem.Transport.Channel = FolderChannel
