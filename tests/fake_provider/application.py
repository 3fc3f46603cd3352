"""The fake without its sockets: dialects, script, records."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .control import Control
from .dialects import DIALECTS
from .dialects.base import Dialect, Request
from .dialects.object_storage import storage_error
from .gate import Gate, InFlight
from .records import RecordedRequest
from .script import Script
from .storage import BlobFolder, Store
from .wire import Answer, text_answer


class Application:
    """Everything that both listeners, the control routes and `FakeProvider` share."""

    def __init__(self, directory: Path, api_url: str, storage_url: str, *, discard_bytes: bool) -> None:
        blobs = BlobFolder(directory, discard_bytes=discard_bytes)
        self.dialects: Mapping[str, Dialect] = {
            dialect.name: dialect(Store(blobs), storage_url, api_url + dialect.prefix) for dialect in DIALECTS
        }
        self.gate = Gate()
        self.in_flight = InFlight()
        self.scripted = Script()
        self._records: list[RecordedRequest] = []
        self._lock = threading.Lock()
        self._control = Control(self)

    @property
    def requests(self) -> list[RecordedRequest]:
        with self._lock:
            return list(self._records)

    def record(self, request: Request, is_storage: bool) -> None:
        dialect = self._dialect_of(request)
        request.record.dialect = "storage" if is_storage else dialect.name if dialect else ""
        with self._lock:
            self._records.append(request.record)

    def reset(self) -> None:
        """Forget files, requests and script, and release what is held."""
        self.gate.release()
        self.scripted.clear()
        for dialect in self.dialects.values():
            dialect.reset()
        with self._lock:
            self._records.clear()

    def answer_control(self, request: Request) -> Answer | None:
        """Answer a request for the test side; None when it is for a provider."""
        if request.path.startswith("/_control/"):
            return self._control.handle(request)
        return None

    def dispatch(self, request: Request, is_storage: bool) -> Answer:
        dialect = self._dialect_of_signed_url(request) if is_storage else self._dialect_of(request)
        if dialect is None:
            return text_answer("no dialect is mounted here\n", 404)
        if is_storage:
            return dialect.serve_storage(request)
        return dialect.handle(replace(request, path=request.path.removeprefix(dialect.prefix)))

    def error_answer(self, request: Request, status: int, is_storage: bool) -> Answer:
        """Answer with `status` in the shape of the dialect, or storage host, that the path belongs to."""
        if is_storage:
            return storage_error(status, "ScriptedFailure")
        dialect = self._dialect_of(request)
        message = f"scripted failure {status}"
        return dialect.error(status, message) if dialect else text_answer(message, status)

    def _dialect_of(self, request: Request) -> Dialect | None:
        fitting = [
            each for each in self.dialects.values() if f"{request.path}/".startswith(f"{each.prefix}/")
        ]
        return max(fitting, key=lambda each: len(each.prefix), default=None)

    def _dialect_of_signed_url(self, request: Request) -> Dialect | None:
        return self.dialects.get(request.path.split("/")[1])
