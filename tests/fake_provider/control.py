"""The test side of the fake over HTTP, for the case that it runs as a process of its own."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from .dialects.base import Request
from .script import Behaviour
from .storage import StoredFile
from .wire import Answer, bytes_answer, json_answer, text_answer

if TYPE_CHECKING:
    from .application import Application


def stored_file_to_json(stored: StoredFile) -> dict[str, Any]:
    return {
        "remote_id": stored.remote_id,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "extra": stored.extra,
    }


class Control:
    """`/_control/<verb>`: GET reads, POST changes; every POST takes a JSON object."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def handle(self, request: Request) -> Answer:
        verb = f"{request.method} {request.path.removeprefix('/_control/')}"
        try:
            if verb == "GET content":
                return self._content(request)
            return json_answer(self._run(verb, request))
        except TimeoutError as exc:
            return text_answer(str(exc), 408)
        except (KeyError, TypeError, ValueError) as exc:
            return text_answer(f"{type(exc).__name__}: {exc}", 400)

    def _run(self, verb: str, request: Request) -> Any:
        app = self._app
        if verb == "GET store":
            dialect = app.dialects[request.argument("dialect") or ""]
            return [stored_file_to_json(stored) for stored in dialect.store.all()]
        if verb == "GET requests":
            return [record.to_json() for record in app.requests]
        if verb == "GET unused":
            return app.scripted.unused()
        body = json.loads(request.body.read_all(1024**3) or b"{}")
        if verb == "POST script":
            app.scripted.add(body["match"], Behaviour.from_json(body["behaviour"]))
        elif verb == "POST reset":
            app.reset()
        elif verb == "POST release":
            app.gate.release()
        elif verb == "POST wait-until-paused":
            app.gate.wait_until_held(body["count"], body["timeout_seconds"])
        elif verb == "POST wait-until-idle":
            app.in_flight.wait_until_idle(body["timeout_seconds"])
        elif verb == "POST files":
            dialect = app.dialects[body.pop("dialect")]
            content = base64.b64decode(body.pop("content"))
            return stored_file_to_json(dialect.plant(content=content, **body))
        elif verb == "POST remove":
            return app.dialects[body["dialect"]].store.remove(body["remote_id"])
        else:
            raise ValueError(f"no such control: {verb}")
        return {}

    def _content(self, request: Request) -> Answer:
        dialect = self._app.dialects[request.argument("dialect") or ""]
        stored = dialect.store.get(request.argument("remote_id") or "")
        return bytes_answer(stored.blob) if stored else text_answer("no such file", 404)
