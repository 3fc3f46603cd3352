"""Which request meets which scripted behaviour."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypedDict

from .wire import JSON

Framing = Literal["length", "chunked", "close"]


class Match(TypedDict, total=False):
    """Which requests a behaviour is for; a missing key matches everything.

    `path` is a regular expression searched in the complete path. `times` is how often the behaviour is
    used, None for ever, default 1. `skip` lets that many matching requests through first.
    """

    method: str
    path: str
    times: int | None
    skip: int


@dataclass(frozen=True)
class CannedAnswer:
    """An answer that takes the place of the dialect's own."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How one request is treated. Without any field set it is served as usual.

    The fields apply in this order:

    - `pause_after_body_bytes`: stop reading behind that byte until released, then go on.
    - `answer_after_body_bytes`: read no further than that, store nothing, answer. 0 answers before the body.
    - `is_served`: whether the dialect does its work (stores, deletes); if not, the body is read and dropped.
    - `hangs`: wait until released before anything is answered.
    - `drops`: close the connection without an answer; with `resets`, by a TCP reset.
    - `error_status`: answer with this status in the dialect's own error shape.
    - `answer`: answer with this. Without it and without `error_status`, the dialect's answer stays.
    - `patch`, `without`: merge into, or remove dotted paths from, the dialect's JSON answer.
    - `headers`: added to the answer, replacing the same names.
    - `shorten_to`: send only so many body bytes, with a Content-Length that agrees.
    - `framing`: Content-Length, chunked, or neither (the end of the connection ends the body).
    - `cut_after`: close the connection after so many body bytes of the answer.
    - `drip_bytes`, `drip_seconds`: send the body in pieces of this size, this far apart.
    """

    pause_after_body_bytes: int | None = None
    answer_after_body_bytes: int | None = None
    is_served: bool = True
    hangs: bool = False
    drops: bool = False
    resets: bool = False
    error_status: int | None = None
    answer: CannedAnswer | None = None
    patch: Mapping[str, JSON] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    shorten_to: int | None = None
    framing: Framing = "length"
    cut_after: int | None = None
    drip_bytes: int | None = None
    drip_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        body = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.answer:
            body["answer"] = {
                **asdict(self.answer),
                "body": base64.b64encode(self.answer.body).decode("ascii"),
            }
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Behaviour:
        values = {**body}
        if canned := body.get("answer"):
            values["answer"] = CannedAnswer(
                canned["status"], _pairs(canned["headers"]), base64.b64decode(canned["body"])
            )
        values["headers"] = _pairs(body.get("headers", ()))
        values["without"] = tuple(body.get("without", ()))
        return cls(**values)


def _pairs(rows: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows)


AS_USUAL = Behaviour()


@dataclass
class _Entry:
    method: str | None
    path: re.Pattern[str]
    remaining: int | None
    to_skip: int
    behaviour: Behaviour


class Script:
    """Behaviours in the order in which they were added; the first one that fits is used."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()

    def add(self, match: Match, behaviour: Behaviour) -> None:
        unknown = set(match) - set(Match.__annotations__)
        if unknown:
            raise ValueError(f"unknown match keys: {sorted(unknown)}")
        entry = _Entry(
            method=match.get("method"),
            path=re.compile(match.get("path", "")),
            remaining=match.get("times", 1),
            to_skip=match.get("skip", 0),
            behaviour=behaviour,
        )
        with self._lock:
            self._entries.append(entry)

    def take(self, method: str, path: str) -> Behaviour:
        """Return the behaviour for a request and count it as used."""
        with self._lock:
            for entry in self._entries:
                if entry.method not in (None, method) or not entry.path.search(path):
                    continue
                if entry.to_skip > 0:
                    entry.to_skip -= 1
                elif entry.remaining is None:
                    return entry.behaviour
                elif entry.remaining > 0:
                    entry.remaining -= 1
                    return entry.behaviour
        return AS_USUAL

    def unused(self) -> int:
        """Count the finite uses that are left: a test can assert that its script was played."""
        with self._lock:
            return sum(entry.remaining or 0 for entry in self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
