"""What every dialect is made of: routes, a key check, a store and the provider's error shape."""

from __future__ import annotations

import base64
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from ..body import Body, IncompleteBodyError
from ..multipart import Form, MultipartError, boundary_of, read_form
from ..records import RecordedPart, RecordedRequest
from ..storage import DiskBlob, Spool, Store, StoredFile
from ..wire import JSON, Answer, Headers, RefusedError

VALID_KEY = "test-key"
#: Another key of the same customer, where the vendor has OpenAI's API: it opens the same files.
SECOND_KEY = "second-test-key"
MAX_JSON_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request as a dialect sees it; `path` is what follows the dialect's prefix, still quoted."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Headers
    body: Body
    record: RecordedRequest

    def argument(self, name: str) -> str | None:
        """Return the first value of a query parameter; None when it is absent."""
        values = self.query.get(name)
        return values[0] if values else None


class Route(NamedTuple):
    """`pattern` must match the whole path; its groups, unquoted, are handed to `action`."""

    method: str
    pattern: str
    action: Callable[..., Answer]


class Dialect(ABC):
    """One provider's wire format. Subclasses fill in the attributes and list their routes."""

    name: str
    prefix: str
    known_fields: frozenset[str] = frozenset()

    def __init__(self, store: Store, storage_url: str, own_url: str) -> None:
        """`storage_url` is the root of the host that signed URLs point to, `own_url` this dialect's base."""
        self.store = store
        self.storage_url = f"{storage_url}/{self.name}"
        self.own_url = own_url

    @abstractmethod
    def routes(self) -> tuple[Route, ...]: ...

    @abstractmethod
    def authenticate(self, request: Request) -> None:
        """Raise RefusedError unless the request carries `VALID_KEY` the way the provider wants it."""

    @abstractmethod
    def error(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> Answer:
        """Build an error answer in the provider's shape."""

    @abstractmethod
    def new_id(self) -> str: ...

    def plant(
        self,
        *,
        filename: str,
        content: bytes,
        purpose: str,
        remote_id: str | None,
        created_at: int | None,
        expires_at: int | None,
        extra: Mapping[str, JSON],
    ) -> StoredFile:
        """Add a file that was made elsewhere, a batch output for instance."""
        return self.store.add(
            remote_id or self.new_id(),
            self.store.blobs.keep(content),
            filename=filename,
            purpose=purpose,
            created_at=created_at,
            expires_at=expires_at,
            extra=dict(extra),
        )

    def reset(self) -> None:
        """Forget all files."""
        self.store.clear()

    def handle(self, request: Request) -> Answer:
        """Answer one request.

        Raises IncompleteBodyError when the client went away before the body was complete.
        """
        try:
            if self.needs_key(request):
                self.authenticate(request)
            for route in self.routes():
                if route.method == request.method and (match := re.fullmatch(route.pattern, request.path)):
                    return route.action(request, *map(unquote, match.groups()))
            return self.unknown_route(request)
        except RefusedError as refusal:
            return refusal.answer
        except MultipartError as exc:
            return self.error(400, f"Could not parse multipart form: {exc}")

    def needs_key(self, request: Request) -> bool:
        return True

    def serve_storage(self, request: Request) -> Answer:
        """Answer one request to the storage host."""
        try:
            return self.handle_storage(request)
        except RefusedError as refusal:
            return refusal.answer

    def handle_storage(self, request: Request) -> Answer:
        """Answer a request to a signed URL of this dialect."""
        return Answer(404)

    def unknown_route(self, request: Request) -> Answer:
        return self.error(404, f"Invalid URL ({request.method} {request.path})")

    def refuse(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> RefusedError:
        return RefusedError(self.error(status, message, param=param, code=code))

    def integer(self, request: Request, name: str, default: int) -> int:
        """Return a query parameter that must be a number from 0 up."""
        value = request.argument(name)
        if value is None:
            return default
        if not value.isdecimal():
            raise self.refuse(400, f"{name} must be a non-negative integer", param=name)
        return int(value)

    def offset_of(self, token: str | None) -> int:
        """Return the offset that `page_token` wrote; 0 without a token."""
        if not token:
            return 0
        try:
            return int(base64.urlsafe_b64decode(token))
        except ValueError as exc:
            raise self.refuse(400, "invalid page token") from exc

    def read_form(self, request: Request) -> Form:
        """Read a multipart body; field names that the provider does not document are recorded."""
        boundary = boundary_of(request.headers.get("content-type"))
        if boundary is None:
            raise self.refuse(400, "expected a multipart/form-data body with a boundary")
        form = read_form(
            request.body,
            boundary,
            self.store.blobs.spool,
            lambda part: request.record.parts.append(RecordedPart.of(part)),
        )
        request.record.unknown_fields = [name for name in form.names() if name not in self.known_fields]
        return form

    def read_blob(self, request: Request, spool: Spool) -> DiskBlob:
        """Spool a raw body; nothing is left of one that is cut."""
        try:
            while chunk := request.body.read(256 * 1024):
                spool.write(chunk)
        except IncompleteBodyError:
            spool.abort()
            raise
        return spool.finish()

    def read_json(self, request: Request) -> Mapping[str, JSON]:
        """Read a JSON object; an empty body is an empty object."""
        try:
            body = json.loads(request.body.read_all(MAX_JSON_BYTES) or b"{}")
        except ValueError as exc:
            raise self.refuse(400, "We could not parse the JSON body of your request.") from exc
        if not isinstance(body, dict):
            raise self.refuse(400, "expected a JSON object")
        return body


def page_token(offset: int) -> str:
    """Make an opaque token for the page that starts at `offset`."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode("ascii")


def bearer_token(headers: Headers) -> str | None:
    """Return the token of `Authorization: Bearer ...`; None when there is none."""
    scheme, _, token = (headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def masked(key: str) -> str:
    return f"{key[:2]}***{key[-3:]}"


def rfc3339(seconds: int, fraction: str = "") -> str:
    """Write Unix `seconds` in UTC; `fraction` is the part behind the second, `.481Z` without the Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"
