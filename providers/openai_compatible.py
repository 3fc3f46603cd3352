"""The driver of every provider whose file API has the shapes of OpenAI's.

A member of the family is a `Capabilities` value and a `Dialect`; only what one member alone does differently
is a method overridden in a subclass. Parsing is in pure functions and tolerates every spelling seen in the
family (read 2026-11-23).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from providers.base import Setting
from providers.errors import error_in_success
from providers.exceptions import ProviderError
from providers.objects import (
    Capabilities,
    ExpiresAfterPart,
    FilePart,
    FileStatus,
    JSONObject,
    JSONValue,
    Operation,
    PurposePart,
    RemoteFile,
    Upload,
    UploadPart,
)
from providers.parsing import parse_objects, parse_size, parse_text, parse_time, parse_words
from providers.rest_driver import RestDriver
from providers.transports.http import Request, Response
from providers.transports.multipart import FormField, FormFile, FormPart

CHECKED: Final = "2026-11-23"
JSONL: Final = (".jsonl",)
DAY_SECONDS: Final = 86_400

#: Most list pages that are read to find one file at a provider that cannot retrieve.
MAX_EMULATION_PAGES: Final = 100

#: A status that is not here is one of a file that is not ready; no status at all means ready.
_STATUSES: Final[Mapping[str, FileStatus]] = {
    **dict.fromkeys(("processed", "ready", "ok", "active", "completed", "success"), "processed"),
    **dict.fromkeys(("error", "failed"), "error"),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a member of the family differs on the wire, beyond what its capabilities say.

    page_size: how many files to ask for in one page; None asks for no number.
    list_query: fixed query of the list.
    query, headers: sent with every request.
    expiry_field: form field that takes the moment of expiry as Unix seconds, instead of `expires_after`.
    success_code: what a member `code` of an answer must be, where the provider puts errors into a 200.
    emulates_retrieve: there is no retrieve, so a file is looked for in the list.
    refusal_hint: what a 403 or 404 of a whole route most likely means.
    """

    page_size: int | None = None
    list_query: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    expiry_field: str = ""
    success_code: str = ""
    emulates_retrieve: bool = False
    refusal_hint: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A documented server of the family that needs no code: where it is, what it has, and how it differs."""

    label: str
    base_url: str
    capabilities: Capabilities
    dialect: Dialect = field(default_factory=Dialect)


class OpenAICompatibleDriver(RestDriver):
    """Speaks OpenAI's Files API as a `Dialect` varies it."""

    dialect: Dialect = Dialect()

    def request(
        self,
        method: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """Say a request with what the dialect sends with every one."""
        dialect = self.dialect
        return super().request(
            method,
            path,
            query={**dialect.query, **(query or {})},
            headers={**dialect.headers, **(headers or {})},
        )

    def form_parts(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        match part:
            case PurposePart():
                if purpose := self.input_purpose(upload):  # empty: the provider has no such field
                    yield FormField("purpose", purpose)
            case ExpiresAfterPart(seconds):
                yield from expiry_fields(seconds, self.capabilities, self.dialect)
            case FilePart():
                yield FormFile("file", replace(part, filename=self.upload_filename(part.filename)))

    def upload_filename(self, filename: str) -> str:
        """Return the name under which a file is sent."""
        return filename

    def list_items(self, body: JSONObject) -> list[JSONObject] | None:
        return list_items(body)

    def page_query(self, cursor: str | None) -> dict[str, str]:
        query = page_query(self.capabilities.paging, self.dialect.page_size, cursor)
        return {**self.dialect.list_query, **query}

    def next_cursor(self, cursor: str | None, body: JSONObject, ids: list[str]) -> str | None:
        return next_cursor(self.capabilities.paging, self.dialect.page_size, cursor, body, ids)

    def json_object(self, response: Response) -> JSONObject:
        """Return the object in a success. Raises the error that it holds instead, if it does."""
        body = super().json_object(response)
        error = error_in_success(body, response, success_code=self.dialect.success_code)
        if error is not None:
            raise error
        return body

    def error_from(self, response: Response, operation: Operation) -> ProviderError:
        error = super().error_from(response, operation)
        is_about_route = operation in {Operation.CREATE, Operation.LIST}
        if self.dialect.refusal_hint and is_about_route and response.status in {403, 404}:
            error.message += f" ({self.dialect.refusal_hint})"
            error.args = (error.message,)
        return error

    def file_object(self, body: JSONObject) -> JSONObject:
        return file_member(body)

    def is_deleted(self, body: JSONObject) -> bool:
        """Mistral and Azure may still show a file that is gone."""
        return body.get("deleted") is True or body.get("status") == "deleted"

    def parse_file(self, body: JSONObject) -> RemoteFile:
        body = file_member(body)
        parsed = parse_file_object(body, self.checked_id(_first(body, "id", "file_id")))
        return replace(parsed, purpose=self.output_purpose(body))

    def output_purpose(self, body: JSONObject) -> str | None:
        """Return a file's purpose in OpenAI's words; what they have no word for stays as it is."""
        return self.capabilities.purpose_from(parse_text(body.get("purpose"), limit=64))

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        if not self.dialect.emulates_retrieve:
            return super()._retrieve_file(remote_id)
        self.id_segment(remote_id)
        cursor: str | None = None
        for _ in range(MAX_EMULATION_PAGES):
            page = self._list_files(cursor)
            for found in page.files:
                if found.remote_id == remote_id:
                    return found
            if page.next_cursor is None:
                raise self.missing()
            cursor = page.next_cursor
        raise self.invalid("its list has no end")


def member_driver(driver_name: str, member: Member) -> type[OpenAICompatibleDriver]:
    """Return the driver of a member, under a name in the registry."""

    class MemberDriver(OpenAICompatibleDriver):
        name = driver_name
        label = member.label
        options = (base_url_setting(member.base_url),)
        capabilities = member.capabilities
        dialect = member.dialect

    MemberDriver.__name__ = MemberDriver.__qualname__ = f"{member.label}Driver"
    return MemberDriver


def base_url_setting(default: str) -> Setting:
    """Return the option for the endpoint of a member that has one of its own."""
    return Setting("base_url", "Base URL", "Everything up to, not including, /files.", "url", default=default)


def expiry_fields(seconds: int, capabilities: Capabilities, dialect: Dialect) -> Iterator[FormField]:
    """Yield what tells the provider when to delete; nothing where it cannot: the gateway does it then."""
    if dialect.expiry_field:
        yield FormField(dialect.expiry_field, str(int(time.time()) + seconds))
    elif capabilities.expiry.native:
        yield FormField("expires_after[anchor]", "created_at")
        yield FormField("expires_after[seconds]", str(seconds))


def page_query(paging: str, page_size: int | None, cursor: str | None) -> dict[str, str]:
    """Return the query that asks for the page behind `cursor`."""
    size, position = {
        "none": ("limit", ""),
        "after": ("limit", "after"),
        "token": ("limit", "pagination_token"),
        "page": ("page_size", "page"),
    }[paging]
    query = {} if page_size is None else {size: str(page_size)}
    if paging == "page":
        query[position] = cursor or "0"
    elif position and cursor is not None:
        query[position] = cursor
    return query


def next_cursor(
    paging: str, page_size: int | None, cursor: str | None, body: JSONObject, ids: list[str]
) -> str | None:
    """Return what asks for the next page, None when this is the last.

    A provider that ignores the cursor sends the same page again: then the cursor stands in it. Callers
    still have to stop at a repeated id, since a provider may be wrong in other ways.
    """
    is_full = page_size is not None and len(ids) >= page_size
    if not ids or paging == "none":
        return None
    if paging == "token":  # xAI sends a token on its last page too, and never `has_more`
        token = body.get("pagination_token")
        return token if isinstance(token, str) and token and is_full and token != cursor else None
    if paging == "page":
        page = int(cursor or "0")
        total = parse_size(body.get("total"))
        is_last = total is not None and page_size is not None and (page + 1) * page_size >= total
        return str(page + 1) if is_full and not is_last else None
    has_more = body.get("has_more")
    goes_on = has_more if isinstance(has_more, bool) else is_full
    return ids[-1] if goes_on and cursor not in ids else None


def list_items(body: JSONObject) -> list[JSONObject] | None:
    """Return the file objects of a list, None when there is no list.

    Shapes: `{"data": [...]}`, and SiliconFlow's `{"data": {"data": [...]}}` (read 2026-11-23).
    """
    data = body.get("data")
    return parse_objects(data.get("data") if isinstance(data, Mapping) else data)


def file_member(body: JSONObject) -> JSONObject:
    """Return the file object in an answer: the answer itself, or its `data` or `file` when it has no id."""
    if _first(body, "id", "file_id") is None:
        for name in ("data", "file"):
            inner = body.get(name)
            if isinstance(inner, Mapping):
                return inner
    return body


def parse_file_object(body: JSONObject, remote_id: str) -> RemoteFile:
    """Read everything of a file object but its id and purpose; unknown members are ignored."""
    return RemoteFile(
        remote_id=remote_id,
        bytes=parse_size(_first(body, "bytes", "size_bytes", "size")),
        created_at=parse_time(_first(body, "created_at", "createdAt")),
        filename=parse_text(_first(body, "filename", "name")),
        status=parse_status(body.get("status")),
        status_details=parse_words(body.get("status_details")),
        expires_at=parse_time(_first(body, "expires_at", "expire_at", "expiresAt")),
        content_type=parse_text(_first(body, "mime_type", "mimetype", "content_type")),
    )


def parse_status(value: JSONValue) -> FileStatus:
    """Map a provider's status. Without one the file is ready; one that is not known means not yet."""
    if not isinstance(value, str) or not value:
        return "processed"
    return _STATUSES.get(value.lower(), "uploaded")


def _first(body: JSONObject, *names: str) -> JSONValue:
    """Return the first of several spellings of a member that is there and not null."""
    return next((body[name] for name in names if body.get(name) is not None), None)
