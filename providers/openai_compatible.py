"""The driver of every provider whose file API has the shapes of OpenAI's.

A member of the family is a `Capabilities` value and a `Dialect`; only what one member alone does differently
is a method overridden in a subclass. Parsing is in pure functions and tolerates every spelling seen in the
family (read 2026-11-23).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from providers.errors import error_in_success
from providers.exceptions import ProviderError, RemoteFileNotFoundError
from providers.http_driver import HTTPDriver, checked_id, parse_size, parse_text, parse_time
from providers.objects import (
    ByteRange,
    Capabilities,
    Download,
    ExpiresAfterPart,
    FilePart,
    FileStatus,
    JSONObject,
    JSONValue,
    Operation,
    PurposePart,
    RemoteFile,
    RemotePage,
    Upload,
    UploadPart,
)
from providers.transports.http import Request, Response, StreamBody
from providers.transports.multipart import FormField, FormFile, FormPart, MultipartForm

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"

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
    """

    page_size: int | None = None
    list_query: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    expiry_field: str = ""
    success_code: str = ""
    emulates_retrieve: bool = False


class OpenAICompatibleDriver(HTTPDriver):
    """Speaks OpenAI's Files API as a `Dialect` varies it."""

    dialect: Dialect = Dialect()

    def _create_file(self, upload: Upload) -> RemoteFile:
        form, body = self._form(upload)
        request = self.request("POST", headers={"Content-Type": form.content_type}, body=body)
        created = self.parse_file(self.send_json(Operation.CREATE, request), Operation.CREATE)
        return self.check_size(created, upload)

    def _list_files(self, cursor: str | None) -> RemotePage:
        paging, page_size = self.capabilities.paging, self.dialect.page_size
        query = {**self.dialect.list_query, **page_query(paging, page_size, cursor)}
        response = self.send(Operation.LIST, self.request("GET", query=query))
        body = self.json_object(Operation.LIST, response)
        items = list_items(body)
        if items is None:
            raise self.invalid(Operation.LIST, "there is no list of files in it", response)
        files = tuple(self.parse_file(item, Operation.LIST) for item in items)
        following = next_cursor(paging, page_size, cursor, body, [each.remote_id for each in files])
        return RemotePage(
            tuple(each for each, item in zip(files, items, strict=True) if not is_deleted(item)), following
        )

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        path = self.id_segment(remote_id, Operation.RETRIEVE)
        if self.dialect.emulates_retrieve:
            return self._find_in_list(remote_id)
        response = self.send(Operation.RETRIEVE, self.request("GET", path))
        body = self.json_object(Operation.RETRIEVE, response)
        if is_deleted(file_member(body)):
            raise self.missing(Operation.RETRIEVE, response)
        found = self.parse_file(body, Operation.RETRIEVE)
        if found.remote_id != remote_id:
            raise self.invalid(Operation.RETRIEVE, "with another file than the one asked for", response)
        return found

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        path = f"{self.id_segment(remote_id, Operation.CONTENT)}/content"
        return self.open_download(self.request("GET", path), byte_range)

    def _delete_file(self, remote_id: str) -> None:
        self.send_delete(self.request("DELETE", self.id_segment(remote_id, Operation.DELETE)))

    def request(
        self,
        method: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: StreamBody | None = None,
    ) -> Request:
        """Say a request to `/files`, or to `path` below it."""
        url = f"{self.base_url}/files"
        return Request(
            method,
            f"{url}/{path}" if path else url,
            headers={**self.dialect.headers, **(headers or {})},
            query={**self.dialect.query, **(query or {})},
            body=body,
        )

    def json_object(self, operation: Operation, response: Response) -> JSONObject:
        """Return the object in a success. Raises the error that it holds instead, if it does."""
        body = super().json_object(operation, response)
        with self.attributed(operation):
            error = error_in_success(body, response, success_code=self.dialect.success_code)
            if error is not None:
                raise error
        return body

    def parse_file(self, body: JSONObject, operation: Operation) -> RemoteFile:
        """Read a file object. Raises InvalidResponseError when it has no id that can be used."""
        body = file_member(body)
        parsed = parse_file_object(body, checked_id(_first(body, "id", "file_id"), self, operation))
        return replace(parsed, purpose=self.output_purpose(body))

    def output_purpose(self, body: JSONObject) -> str | None:
        """Return a file's purpose in OpenAI's words; what they have no word for stays as it is."""
        return self.capabilities.purpose_from(parse_text(body.get("purpose"), limit=64))

    def upload_filename(self, filename: str) -> str:
        """Return the name under which a file is sent."""
        return filename

    def _form(self, upload: Upload) -> tuple[MultipartForm, StreamBody]:
        """Read up to the file, so that what comes before it can be refused before anything is sent.

        The length is announced where it is known: such a file was spooled, and nothing follows it.
        """
        parts = self._form_parts(upload)
        fields: list[FormField] = []
        for part in parts:
            if isinstance(part, FormFile):
                break
            fields.append(part)
        else:
            raise AssertionError("an upload without a file is refused before a driver sees it")
        form = MultipartForm(chain(fields, [part], parts))
        length = None if part.part.length is None else form.length(fields, part)
        return form, StreamBody(iter(form), length)

    def _form_parts(self, upload: Upload) -> Iterator[FormPart]:
        for part in upload:
            yield from self._translated_part(part, upload)

    def _translated_part(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        match part:
            case PurposePart():
                if purpose := self.input_purpose(upload):  # empty: the provider has no such field
                    yield FormField("purpose", purpose)
            case ExpiresAfterPart(seconds):
                yield from expiry_fields(seconds, self.capabilities, self.dialect)
            case FilePart():
                # Azure refuses a file part without a type (read 2026-11-23).
                content_type = part.content_type or DEFAULT_CONTENT_TYPE
                filename = self.upload_filename(part.filename)
                yield FormFile("file", replace(part, filename=filename, content_type=content_type))

    def _find_in_list(self, remote_id: str) -> RemoteFile:
        cursor: str | None = None
        for _ in range(MAX_EMULATION_PAGES):
            try:
                page = self._list_files(cursor)
            except ProviderError as exc:
                exc.operation = Operation.RETRIEVE
                raise
            for found in page.files:
                if found.remote_id == remote_id:
                    return found
            if page.next_cursor is None:
                raise self.missing(Operation.RETRIEVE)
            cursor = page.next_cursor
        raise self.invalid(Operation.RETRIEVE, "its list has no end")

    def missing(self, operation: Operation, response: Response | None = None) -> RemoteFileNotFoundError:
        """Return the error for a file that the provider does not have, though it did not answer 404."""
        return RemoteFileNotFoundError(
            f"{self.label} does not have this file.",
            provider=self.account.name,
            operation=operation,
            request_id=response.request_id if response else None,
        )


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
    if isinstance(data, Mapping):
        data = data.get("data")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        return None
    return [item for item in data if isinstance(item, Mapping)]


def file_member(body: JSONObject) -> JSONObject:
    """Return the file object in an answer: the answer itself, or its `data` or `file` when it has no id."""
    if _first(body, "id", "file_id") is None:
        for name in ("data", "file"):
            inner = body.get(name)
            if isinstance(inner, Mapping):
                return inner
    return body


def is_deleted(body: JSONObject) -> bool:
    """Whether a file object is that of a file which is gone: Mistral and Azure may still show it."""
    return body.get("deleted") is True or body.get("status") == "deleted"


def parse_file_object(body: JSONObject, remote_id: str) -> RemoteFile:
    """Read everything of a file object but its id and purpose; unknown members are ignored."""
    downloadable = body.get("downloadable")
    return RemoteFile(
        remote_id=remote_id,
        bytes=parse_size(_first(body, "bytes", "size_bytes", "size")),
        created_at=parse_time(_first(body, "created_at", "createdAt")),
        filename=parse_text(_first(body, "filename", "name")),
        status=parse_status(body.get("status")),
        status_details=parse_text(body.get("status_details"), limit=500),
        expires_at=parse_time(_first(body, "expires_at", "expire_at", "expiresAt")),
        content_type=parse_text(_first(body, "mime_type", "mimetype", "content_type")),
        downloadable=downloadable if isinstance(downloadable, bool) else None,
    )


def parse_status(value: JSONValue) -> FileStatus:
    """Map a provider's status. Without one the file is ready; one that is not known means not yet."""
    if not isinstance(value, str) or not value:
        return "processed"
    return _STATUSES.get(value.lower(), "uploaded")


def _first(body: JSONObject, *names: str) -> JSONValue:
    """Return the first of several spellings of a member that is there and not null."""
    return next((body[name] for name in names if body.get(name) is not None), None)
