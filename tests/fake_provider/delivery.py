"""Writing an answer to the connection, whole or broken in a scripted way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from io import BufferedIOBase
from typing import Any

from .gate import Gate
from .script import Behaviour
from .wire import JSON, Answer, BlobSlice, MemoryBlob

NO_BODY_STATUSES = frozenset({204, 304})


class CutError(Exception):
    """The answer was broken off on purpose; the connection must be closed."""


def altered(answer: Answer, behaviour: Behaviour) -> Answer:
    """Return `answer` with the patches, headers and size that the script asks for."""
    if behaviour.patch or behaviour.without:
        body = json.loads(b"".join(answer.body.chunks()))
        _merge(body, behaviour.patch)
        for path in behaviour.without:
            _remove(body, path.split("."))
        answer = replace(answer, body=MemoryBlob(json.dumps(body).encode()))
    if behaviour.shorten_to is not None:
        answer = replace(answer, body=BlobSlice(answer.body, 0, behaviour.shorten_to))
    return answer.with_headers(*behaviour.headers)


def _merge(target: dict[str, Any], patch: Mapping[str, JSON]) -> None:
    for key, value in patch.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def _remove(target: dict[str, Any], path: list[str]) -> None:
    for key in path[:-1]:
        target = target[key]
    target.pop(path[-1], None)


def write_answer(
    output: BufferedIOBase, answer: Answer, behaviour: Behaviour, gate: Gate, *, is_head: bool, closes: bool
) -> None:
    """Send `answer`. Raises CutError behind the byte at which the script cuts it."""
    has_body = not is_head and answer.status not in NO_BODY_STATUSES
    framing = [("Connection", "close")] if closes or behaviour.framing == "close" else []
    if answer.status not in NO_BODY_STATUSES:
        if behaviour.framing == "length":
            framing.append(("Content-Length", str(answer.body.size_bytes)))
        elif behaviour.framing == "chunked":
            framing.append(("Transfer-Encoding", "chunked"))
    output.write(_head(answer.with_headers(*framing)))
    output.flush()
    if has_body:
        _write_body(output, _pieces(answer, behaviour, gate), chunked=behaviour.framing == "chunked")


def _head(answer: Answer) -> bytes:
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def _write_body(output: BufferedIOBase, pieces: Iterator[bytes], *, chunked: bool) -> None:
    for piece in pieces:
        output.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        output.flush()
    if chunked:
        output.write(b"0\r\n\r\n")
        output.flush()


def _pieces(answer: Answer, behaviour: Behaviour, gate: Gate) -> Iterator[bytes]:
    sent = 0
    for chunk in answer.body.chunks():
        size = behaviour.drip_bytes or len(chunk)
        for start in range(0, len(chunk), size):
            piece = chunk[start : start + size]
            if behaviour.cut_after is not None and sent + len(piece) >= behaviour.cut_after:
                yield piece[: behaviour.cut_after - sent]
                raise CutError
            yield piece
            sent += len(piece)
            if behaviour.drip_bytes:
                gate.pass_by(behaviour.drip_seconds)
