"""Calls the gateway's WSGI application as a server does, with bodies that arrive piece by piece.

Django's test client has whole bodies only. Here a body is any iterable of bytes, with or without a
length, it may end early or break, and an answer is read as far as a test wants.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from requests.structures import CaseInsensitiveDict

from tests.files_app.forms import BOUNDARY, Feed, Part, encode, file_part, purpose_part

_applications: list[WSGIHandler] = []


def application() -> WSGIHandler:
    """Return the application, made on first use: its middleware needs Django's settings."""
    if not _applications:
        _applications.append(WSGIHandler())
    return _applications[0]


class BrokenConnectionError(OSError):
    """What a server raises out of a read when the client's connection breaks."""


#: What a message looks like that quotes an object, an exception or bytes instead of saying something.
PYTHON = re.compile(
    r"""(?:^|[\s:(,])b['"]|\w(?:Error|Exception)\b|\w\(['"]| object at 0x|\\x[0-9a-f]{2}|<class|\bNone\b"""
)


@dataclass
class Reply:
    """An answer. `body` is what has been read of it."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes = b""
    chunks: Iterator[bytes] = field(default_factory=lambda: iter(()), repr=False)

    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json", self.headers
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str | None]:
        """The error inside of OpenAI's envelope, which has exactly these members."""
        body = self.json()
        assert list(body) == ["error"], body
        error: dict[str, str | None] = body["error"]
        assert sorted(error) == ["code", "message", "param", "type"], error
        assert error["message"]
        assert not PYTHON.search(error["message"]), error["message"]
        return error


@dataclass(frozen=True)
class ApiClient:
    """A client with a key; an empty key sends no Authorization header."""

    key: str = field(repr=False)
    prefix: str = "/v1"

    def get(self, path: str, **kwargs: Any) -> Reply:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Reply:
        return self.request("POST", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Reply:
        return self.request("DELETE", path, **kwargs)

    def head(self, path: str, **kwargs: Any) -> Reply:
        return self.request("HEAD", path, **kwargs)

    def request(self, method: str, path: str, **kwargs: Any) -> Reply:
        """Send a request and read the whole answer; keywords as for `open`."""
        with self.open(method, path, **kwargs) as reply:
            reply.body = b"".join(reply.chunks)
        return reply

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | Iterable[tuple[str, str]] = (),
        body: bytes | Iterable[bytes] = b"",
        length: int | None = -1,
        account: str | None = None,
        feed: Feed | None = None,
    ) -> Iterator[Reply]:
        """Send a request and leave the answer's body unread; leaving the block is leaving the connection.

        path: below the client's prefix; one that begins with `//` is taken as it is.
        length: the Content-Length; None for a chunked body, -1 for the true length of `body`.
        """
        whole = path[1:] if path.startswith("//") else self.prefix + path
        pieces = [body] if isinstance(body, bytes) else body
        source = feed or Feed(iter(pieces))
        if length == -1:
            length = len(body) if isinstance(body, bytes) else None
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if account is not None:
            sent["x-tfy-provider-name"] = account
        environ = _environ(method, whole, urlencode(query), {**sent, **(headers or {})}, length, source)
        started: list[tuple[str, list[tuple[str, str]]]] = []
        with _one_connection():
            result = application()(environ, lambda status, given, *rest: started.append((status, given)))
        try:
            ((status, given),) = started
            yield Reply(int(status[:3]), CaseInsensitiveDict(given), chunks=_answered(result, source))
        finally:
            with _one_connection():
                getattr(result, "close", lambda: None)()

    def upload(
        self,
        content: bytes = b"hello",
        purpose: str | None = "user_data",
        filename: str = "a.txt",
        *,
        parts: Iterable[Part] | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Reply:
        """POST a form: `parts`, or a purpose and a file behind it."""
        fields = [purpose_part(purpose)] if purpose is not None else []
        form = encode(parts if parts is not None else [*fields, file_part(content, filename)])
        return self.upload_body(form, headers=headers, **kwargs)

    def upload_body(
        self, body: bytes | Iterable[bytes], *, headers: Mapping[str, str] | None = None, **kwargs: Any
    ) -> Reply:
        """POST the bytes of a form."""
        path = kwargs.pop("path", "/files")
        form = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.post(path, headers={**form, **(headers or {})}, body=body, **kwargs)

    def create(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Upload and return the file object."""
        reply = self.upload(*args, **kwargs)
        assert reply.status == 200, reply.body
        created: dict[str, Any] = reply.json()
        return created

    def listed(self, **query: str | int) -> dict[str, Any]:
        """Return a page of files."""
        reply = self.get("/files", query=query)
        assert reply.status == 200, reply.body
        page: dict[str, Any] = reply.json()
        return page

    def usage(self) -> dict[str, int]:
        usage: dict[str, int] = self.get("/usage").json()
        return usage


def assert_is_ours(reply: Reply, status: int) -> None:
    """Check that an error is OpenAI's envelope and nothing that people read."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.error["type"]
    assert b"<html" not in reply.body.lower()
    assert b"Traceback" not in reply.body
    assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])


def _answered(chunks: Iterable[bytes], feed: Feed) -> Iterator[bytes]:
    """Pass an answer on, and tell the body that it has begun."""
    for chunk in chunks:
        feed.is_answered = True
        yield chunk


@contextmanager
def _one_connection() -> Iterator[None]:
    """Keep Django from closing the connection that holds the test's transaction."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    try:
        yield
    finally:
        request_started.connect(close_old_connections)
        request_finished.connect(close_old_connections)


def breaking(body: bytes, *, after: int, silently: bool) -> Iterator[bytes]:
    """Yield the first `after` bytes; then the client is gone, with an error or as a plain end."""
    yield body[:after]
    if not silently:
        raise BrokenConnectionError("gone")


def with_side_effect(body: bytes, at: int, effect: Callable[[], object]) -> Iterator[bytes]:
    """Yield the body, and do something while it arrives."""

    def run() -> Iterator[bytes]:
        effect()
        yield b""

    return chain([body[:at]], filter(None, run()), [body[at:]])


def _environ(
    method: str, path: str, query: str, headers: Mapping[str, str], length: int | None, feed: Feed
) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        # A server decodes the path and hands it over as latin-1.
        "PATH_INFO": _unquoted(urlsplit(f"http://x{path}").path),
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": feed,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if length is not None and (length or method not in {"GET", "HEAD", "DELETE", "OPTIONS"}):
        environ["CONTENT_LENGTH"] = str(length)
    elif length is None:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    for name, value in {"Host": "testserver", **headers}.items():
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ


def _unquoted(path: str) -> str:
    return unquote_to_bytes(quote(path, safe="/%:?#[]@!$&'()*+,;=~")).decode("latin-1")
