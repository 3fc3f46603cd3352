"""What is known about the request in hand, for its log line, its metrics and the audit trail."""

import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import structlog
from structlog.typing import EventDict

#: A message may quote what the client sent.
LONGEST_MESSAGE = 300
UNSAFE_IN_CLIENT_ID = re.compile(r"[^\x21-\x7e]")


@dataclass(slots=True)
class Use:
    """Whose request it is, and of which account and purpose its file is: 0 and empty where there is none."""

    organization_id: int
    api_key_id: int
    account_id: int = 0
    purpose: str = ""


@dataclass(slots=True)
class RequestRecord:
    request_id: str
    started: float  # time.perf_counter()
    bytes_in: int = 0
    is_known: bool = False  # whether the caller proved who it is
    use: Use | None = None  # of a good key
    slowest_read_seconds: float = 0.0  # the longest wait for bytes of the request's body
    fields: dict[str, str | int] = field(default_factory=dict)  # of each of its lines
    problem: dict[str, str | int] = field(default_factory=dict)  # of its final line alone
    headers: dict[str, str] = field(default_factory=dict)  # of the answer, whatever it will be


_current: ContextVar[RequestRecord | None] = ContextVar("request_record", default=None)


def begin(*, client_request_id: str = "") -> RequestRecord:
    """Start the record of a request; the client's own id is logged beside ours and never replaces it."""
    record = RequestRecord(f"req_{secrets.token_hex(16)}", time.perf_counter())
    _current.set(record)
    if client_request_id:
        annotate(client_request_id=UNSAFE_IN_CLIENT_ID.sub("?", client_request_id[:128]))
    return record


def forget() -> None:
    """Be in no request any more."""
    _current.set(None)


def merge(logger: Any, method_name: str, event: EventDict) -> EventDict:
    """Add what is known of the request in hand to a log event; in commands and tasks, of that work.

    The record is one variable; structlog's own way has one for each field, and looks through all there are.
    """
    if (record := _current.get()) is None:
        return structlog.contextvars.merge_contextvars(logger, method_name, event)
    event.setdefault("request_id", record.request_id)
    for name, value in record.fields.items():
        event.setdefault(name, value)
    return event


def current() -> RequestRecord | None:
    """Return the record of the request in hand; None in commands and tasks."""
    return _current.get()


def note_known() -> None:
    """Note that the caller of this request proved who it is."""
    if record := _current.get():
        record.is_known = True


def note_use(organization_id: int, api_key_id: int) -> None:
    """Note whose good key this request has shown."""
    if record := _current.get():
        record.use = Use(organization_id, api_key_id)


def note_file(account_id: int, purpose: str) -> None:
    """Note of which account and purpose the file is that this request is about."""
    if (record := _current.get()) and record.use:
        record.use.account_id, record.use.purpose = account_id, purpose


def request_id() -> str:
    """Return the id of the request in hand; empty in commands and tasks."""
    record = _current.get()
    return record.request_id if record else ""


def annotate(**fields: str | int) -> None:
    """Add fields to every further log line of this request, its final line included.

    The final line's `provider` (an account's name) and `driver` also label the byte counters.
    """
    if record := _current.get():
        record.fields.update(fields)
    else:
        structlog.contextvars.bind_contextvars(**fields)


def note_error(code: str, message: str) -> None:
    """Note what the client is told went wrong, for the final line of this request alone."""
    if record := _current.get():
        record.problem.update(code=code, message=message[:LONGEST_MESSAGE])


def promise(**headers: str) -> None:
    """Set headers of the answer, also where it is an error; `_` in a name stands for a hyphen."""
    if record := _current.get():
        record.headers.update((name.replace("_", "-"), value) for name, value in headers.items())


def count_received(size: int, *, waited_seconds: float = 0.0) -> None:
    """Add bytes of the request's body that were read; Content-Length only says what was intended."""
    if record := _current.get():
        record.bytes_in += size
        record.slowest_read_seconds = max(record.slowest_read_seconds, waited_seconds)


def slowest_read_seconds() -> float:
    """Return the longest wait for bytes of this request's body; 0 in commands and tasks."""
    record = _current.get()
    return record.slowest_read_seconds if record else 0.0
