"""Ready-made behaviours for `FakeProvider.script`; each returns a plain `Behaviour`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

from .script import Behaviour, CannedAnswer, Framing
from .wire import JSON

HeaderPairs = Sequence[tuple[str, str]]


def answer(
    status: int = 200,
    body: bytes | str = b"",
    *,
    json_body: JSON = None,
    headers: HeaderPairs = (),
    after_body_bytes: int | None = None,
    stored: bool = False,
) -> Behaviour:
    """Answer with exactly this.

    `after_body_bytes`: 0 answers before the body is read, N after N bytes of it, None after the last.
    `stored`: the dialect does its work all the same, only its answer is lost.
    """
    if json_body is not None:
        body = json.dumps(json_body)
        headers = (("Content-Type", "application/json"), *headers)
    data = body.encode() if isinstance(body, str) else body
    return Behaviour(
        answer_after_body_bytes=after_body_bytes,
        is_served=stored,
        answer=CannedAnswer(status, tuple(headers), data),
    )


def fail(
    status: int,
    *,
    retry_after: str | None = None,
    retry_after_ms: str | None = None,
    headers: HeaderPairs = (),
    after_body_bytes: int | None = None,
    stored: bool = False,
) -> Behaviour:
    """Answer `status` in the dialect's own error shape. `retry_after` is sent as it stands."""
    extra = [*headers]
    if retry_after is not None:
        extra.append(("Retry-After", retry_after))
    if retry_after_ms is not None:
        extra.append(("retry-after-ms", retry_after_ms))
    return Behaviour(
        answer_after_body_bytes=after_body_bytes,
        is_served=stored,
        error_status=status,
        headers=tuple(extra),
    )


def html(status: int = 200, *, stored: bool = False) -> Behaviour:
    """Answer as a proxy's error page does."""
    page = "<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Oops</h1></body></html>"
    return answer(status, page, headers=(("Content-Type", "text/html; charset=utf-8"),), stored=stored)


def garbage(*, stored: bool = False) -> Behaviour:
    """Answer 200 with bytes that claim to be JSON and are not."""
    return answer(
        200, b'{"id": "file-\xff\x00', headers=(("Content-Type", "application/json"),), stored=stored
    )


def success_with_error(*, stored: bool = False) -> Behaviour:
    """Answer 200 with an error inside."""
    error = {"message": "internal failure", "type": "server_error", "param": None, "code": None}
    return answer(200, json_body={"error": error}, stored=stored)


def patched(patch: Mapping[str, JSON], *, without: Sequence[str] = ()) -> Behaviour:
    """Serve the request, then merge `patch` into the JSON answer and remove the dotted paths `without`."""
    return Behaviour(patch=patch, without=tuple(without))


def without_id(path: str = "id") -> Behaviour:
    """Serve the request and leave the id out of the answer; `path` as in `patched`."""
    return patched({}, without=(path,))


def huge_json(size_bytes: int = 5 * 1024 * 1024) -> Behaviour:
    """Serve the request and blow the JSON answer up to `size_bytes`."""
    return patched({"padding": "x" * size_bytes})


def not_deleted(remote_id: str) -> Behaviour:
    """Answer a delete with 200 and `deleted: false`, deleting nothing."""
    return answer(200, json_body={"id": remote_id, "object": "file", "deleted": False})


def drop(*, after_body_bytes: int | None = None, resets: bool = False) -> Behaviour:
    """Close the connection without an answer and without storing, after N body bytes or the last."""
    return Behaviour(answer_after_body_bytes=after_body_bytes, is_served=False, drops=True, resets=resets)


def store_then_drop() -> Behaviour:
    """Do the work, then close the connection without an answer."""
    return Behaviour(drops=True)


def hang(*, stored: bool = False) -> Behaviour:
    """Read everything and answer only after `release`; `stored` as in `answer`, else a 504 follows."""
    return Behaviour(hangs=True, is_served=stored, error_status=None if stored else 504)


def pause(after_body_bytes: int) -> Behaviour:
    """Stop reading behind that body byte until `release`, then serve as usual."""
    return Behaviour(pause_after_body_bytes=after_body_bytes)


def redirect(location: str, status: int = 307) -> Behaviour:
    """Send the client elsewhere before its body is read."""
    return answer(status, headers=(("Location", location),), after_body_bytes=0)


def cut_answer(after_bytes: int, *, framing: Framing = "length") -> Behaviour:
    """Serve, but close after N bytes of the answer's body.

    With `framing` "length" or "chunked" the client can notice; with "close" it cannot.
    """
    return Behaviour(cut_after=after_bytes, framing=framing)


def shortened_answer(to_bytes: int) -> Behaviour:
    """Serve only the first N bytes, with a Content-Length that agrees with them."""
    return Behaviour(shorten_to=to_bytes)


def slow_drip(piece_bytes: int, seconds: float) -> Behaviour:
    """Serve the answer's body in pieces, `seconds` apart; `release` ends one wait."""
    return Behaviour(drip_bytes=piece_bytes, drip_seconds=seconds)


def gzip_bomb(unpacked_bytes: int = 1024**3) -> Behaviour:
    """Answer 200 with a small gzip body that unpacks to `unpacked_bytes` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    zeros = bytes(1024 * 1024)
    pieces = [packer.compress(zeros) for _ in range(unpacked_bytes // len(zeros))]
    pieces.append(packer.compress(bytes(unpacked_bytes % len(zeros))))
    pieces.append(packer.flush())
    headers = (("Content-Type", "application/octet-stream"), ("Content-Encoding", "gzip"))
    return answer(200, b"".join(pieces), headers=headers)
