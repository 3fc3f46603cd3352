"""The base of every driver that speaks to an HTTP API: sending, errors, and reading answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from providers.base import AccountConfig, Driver
from providers.errors import ErrorDetails, error_from_response
from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
    RemoteFileNotFoundError,
)
from providers.objects import ByteRange, Download, JSONObject, JSONValue, Operation, RemoteFile, Upload
from providers.transports.http import HTTPTransport, Request, Response, StreamBody, split_url
from providers.transports.multipart import FormField, FormFile, FormPart, MultipartForm

#: What a provider may use as an id. Anything else is refused before it can enter a URL or the index.
REMOTE_ID = re.compile(r"[A-Za-z0-9._~=:-]{1,255}")

#: Operations on one file: only there does a 404 say that the file is gone, elsewhere that the URL is wrong.
_FILE_OPERATIONS = frozenset({Operation.RETRIEVE, Operation.CONTENT, Operation.DELETE})


class HTTPDriver(Driver):
    """Speaks HTTP with the transport it was given, or one of its own."""

    missing_statuses: frozenset[int] = frozenset({404, 410})

    def __init__(self, account: AccountConfig) -> None:
        super().__init__(account)
        self.transport = account.transport or HTTPTransport(account.environment.limits)

    @property
    def base_url(self) -> str:
        """The configured endpoint without a trailing slash."""
        return self.text_option("base_url").rstrip("/")

    def check_configuration(self) -> None:
        """Refuse endpoints that are no plain http(s) URL, besides what every driver checks."""
        super().check_configuration()
        for setting in self.options:
            value = self.text_option(setting.name)
            if setting.kind == "url" and value:
                check_endpoint(value, field=setting.name)
        check_header_value(self.account.credentials.get("api_key", ""), field="api_key")

    def upstream(self) -> tuple[str, ...]:
        """The endpoint: who shares endpoint and key shares the files."""
        return (normalized(self.base_url),)

    def auth_headers(self) -> dict[str, str]:
        """Return the headers that prove who we are."""
        return {"Authorization": f"Bearer {self.account.credentials.get('api_key', '')}"}

    def send(
        self, operation: Operation, request: Request, *, expected: Collection[int] = range(200, 300)
    ) -> Response:
        """Send with credentials and return a success, its body unread. Raises ProviderError."""
        request = replace(request, headers={**self.auth_headers(), **request.headers})
        return self.send_bare(operation, request, expected=expected)

    def send_bare(
        self, operation: Operation, request: Request, *, expected: Collection[int] = range(200, 300)
    ) -> Response:
        """Send without credentials and return a success, its body unread. Raises ProviderError.

        expected: the statuses that are a success here.
        """
        with self.attributed(operation):
            response = self.transport.send(request)
            if response.status not in expected:
                raise self.error_from(response, operation)
        if isinstance(request.body, StreamBody) and not request.body.exhausted:
            response.close()
            raise self.invalid(operation, "it did so before it had the whole file", response)
        return response

    def send_delete(self, request: Request) -> None:
        """Send a DELETE. Raises a retryable error when the answer is that the file is not deleted."""
        response = self.send(Operation.DELETE, request)
        with self.attributed(Operation.DELETE):
            if not response.body().strip():
                return  # several providers answer 204, or 200 with nothing
        if self.json_object(Operation.DELETE, response).get("deleted") is False:
            raise ProviderUnavailableError(
                f"{self.label} has not deleted the file.",
                provider=self.account.name,
                operation=Operation.DELETE,
                status_code=response.status,
                request_id=response.request_id,
            )

    def send_signed(
        self, operation: Operation, request: Request, *, expected: Collection[int] = range(200, 300)
    ) -> Response:
        """Send to a URL that the provider signed: without credentials, following redirects.

        A refusal there says nothing about the account's key, nor that the file is gone; a new URL may work.
        """
        target, own = split_url(request.url), split_url(self.base_url)
        if target.scheme not in {"https", own.scheme} or not target.hostname or target.username:
            raise self.invalid(operation, "it named a storage address that cannot be trusted")
        try:
            return self.send_bare(operation, replace(request, follow_redirects=True), expected=expected)
        except ProviderError as exc:
            if exc.status_code not in {401, 403, 404, 410}:
                raise
            raise ProviderUnavailableError(
                f"{self.label}'s storage refused the URL that {self.label} gave.",
                provider=self.account.name,
                operation=operation,
            ) from exc

    def send_json(self, operation: Operation, request: Request) -> JSONObject:
        """Send and return the JSON object that the provider answers with success."""
        return self.json_object(operation, self.send(operation, request))

    def json_object(self, operation: Operation, response: Response) -> JSONObject:
        """Return the JSON object in a success. Raises InvalidResponseError when there is none."""
        with self.attributed(operation):
            body = response.json()
        if not isinstance(body, Mapping):
            raise self.invalid(operation, "its answer is not a JSON object", response)
        return body

    @contextmanager
    def attributed(self, operation: Operation) -> Iterator[None]:
        """Write provider and operation on every ProviderError, and strike out credentials that it repeats."""
        try:
            yield
        except ProviderError as exc:
            exc.provider = exc.provider or self.account.name
            exc.operation = exc.operation or operation
            for secret in filter(None, self.account.credentials.values()):
                exc.message = exc.message.replace(secret, "***")
            exc.args = (exc.message,)
            raise

    def error_from(self, response: Response, operation: Operation) -> ProviderError:
        """Return the error that an unsuccessful answer means."""
        return error_from_response(
            response,
            provider=self.account.name,
            operation=operation,
            missing_statuses=self.missing_statuses if operation in _FILE_OPERATIONS else frozenset(),
            kind_of=partial(self.error_kind, operation),
        )

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """Return what this provider means by an error, None where its status says it."""
        return None

    def invalid(
        self, operation: Operation, reason: str, response: Response | None = None
    ) -> InvalidResponseError:
        """Return the error for a success that makes no sense."""
        return InvalidResponseError(
            f"{self.label} answered with success, but {reason}.",
            provider=self.account.name,
            operation=operation,
            status_code=response.status if response else None,
            request_id=response.request_id if response else None,
        )

    def open_download(self, request: Request, byte_range: ByteRange | None) -> Download:
        """Send a request for a file's bytes and return them as they come."""
        headers = dict(request.headers)
        if byte_range is not None and self.capabilities.ranges:
            headers["Range"] = byte_range.header()
        response = self.send(Operation.CONTENT, replace(request, headers=headers, follow_redirects=True))
        return self._download(response, may_be_part="Range" in headers)

    def open_signed(self, urls: Sequence[str]) -> Download:
        """Open signed URLs and return their bytes one after the other.

        The first has answered with success when this returns; the others are opened when their turn comes.
        """
        parts = [self._download(self.send_signed(Operation.CONTENT, Request("GET", urls[0])))]

        def chunks() -> Iterator[bytes]:
            yield from parts[0].chunks
            for url in urls[1:]:
                parts.append(self._download(self.send_signed(Operation.CONTENT, Request("GET", url))))
                yield from parts[-1].chunks

        def close() -> None:
            for part in parts:
                part.close()

        length = parts[0].length if len(urls) == 1 else None
        return Download(chunks(), close, length=length, content_type=parts[0].content_type)

    def _download(self, response: Response, *, may_be_part: bool = False) -> Download:
        content_range = parse_content_range(response) if response.status == 206 else None
        if response.status == 206 and not (may_be_part and content_range):
            response.close()
            raise self.invalid(
                Operation.CONTENT, "with a part of the file that it was not asked for", response
            )
        if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
            response.close()
            raise self.invalid(
                Operation.CONTENT, "its bytes are compressed although it was asked not to", response
            )
        return Download(
            chunks=self._attributed_chunks(response),
            close=response.close,
            length=response.length,
            content_type=response.headers.get("Content-Type"),
            content_range=content_range,
        )

    def _attributed_chunks(self, response: Response) -> Iterator[bytes]:
        with self.attributed(Operation.CONTENT):
            yield from response.iter_bytes(self.account.environment.chunk_bytes)

    def input_purpose(self, upload: Upload) -> str:
        """Return the provider's word for an upload's purpose. Raises FileRejectedError when it has none."""
        try:
            return self.capabilities.purposes[upload.purpose or ""]
        except KeyError:
            raise FileRejectedError(
                f"{self.label} takes no files with the purpose '{upload.purpose}'.",
                provider=self.account.name,
                operation=Operation.CREATE,
                param="purpose",
            ) from None

    def form_request(self, url: str, upload: Upload, fields: Sequence[FormField], file: FormFile) -> Request:
        """Say a POST of `fields` and then the file; its last bytes wait for what the upload's checks say."""

        def parts() -> Iterator[FormPart]:
            yield from fields
            yield file
            upload.finish()

        form = MultipartForm(parts())
        length = None if file.part.length is None else form.length(fields, file)
        body = StreamBody(iter(form), length)
        return Request("POST", url, headers={"Content-Type": form.content_type}, body=body)

    def check_size(self, created: RemoteFile, upload: Upload) -> RemoteFile:
        """Return `created`, unless it counts other bytes than were sent. Call it when the file has passed."""
        sent = upload.finish().bytes
        if created.bytes not in {None, sent}:
            raise self.invalid(
                Operation.CREATE, f"it counts {created.bytes} bytes of the {sent} that were sent"
            )
        return created

    @contextmanager
    def undone_on_failure(
        self, undo: Callable[[], object], *, unless: Callable[[BaseException], bool] = lambda exc: False
    ) -> Iterator[None]:
        """Run `undo` when the block raises, so that nothing half-made stays at the provider.

        The block's error is the one that counts. It is marked as unanswered when undoing fails too, because
        then something may be left. `unless` tells errors after which there is nothing to undo.
        """
        try:
            yield
        except BaseException as exc:
            if not unless(exc):
                try:
                    undo()
                except RemoteFileNotFoundError:
                    pass
                except ProviderError:
                    if isinstance(exc, ProviderError):
                        exc.answered = False
            raise

    def id_segment(self, remote_id: str, operation: Operation) -> str:
        """Return an id as a segment of a URL; RemoteFileNotFoundError for one that no file can have."""
        if not is_usable_id(remote_id):
            raise RemoteFileNotFoundError(
                f"No file at {self.label} can have this id.", provider=self.account.name, operation=operation
            )
        return path_segment(remote_id)


def was_refused(exc: BaseException) -> bool:
    """Whether a request surely changed nothing: a 4xx came back, or it was never sent."""
    if not isinstance(exc, ProviderError) or isinstance(exc, InvalidResponseError):
        return False
    return exc.answered and (exc.status_code is None or exc.status_code < 500)


def json_request(method: str, url: str, body: JSONObject) -> Request:
    """Say a request with a JSON body."""
    return Request(method, url, headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())


def check_header_value(value: str, *, field: str) -> None:
    """Raise ProviderConfigurationError for a value that could not stand in a header; never repeats it."""
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ProviderConfigurationError(
            f"'{field}' must be printable ASCII without spaces around it.", field=field
        )


def normalized(url: str) -> str:
    """Return the endpoint in its one spelling: host in lower case, port always there."""
    parts = split_url(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}{parts.path}"


def check_endpoint(url: str, *, field: str) -> None:
    """Raise ProviderConfigurationError unless `url` is http(s) with a host and no user, query or fragment."""
    parts = split_url(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProviderConfigurationError(f"'{field}' must be a URL such as https://host/v1.", field=field)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ProviderConfigurationError(
            f"'{field}' must hold no user, password, query or fragment.", field=field
        )


def is_usable_id(value: str) -> bool:
    """Whether a provider's id is safe in a URL: its characters are plain, and it is not `.` or `..`."""
    return REMOTE_ID.fullmatch(value) is not None and value.strip(".") != ""


def checked_id(value: JSONValue, driver: HTTPDriver, operation: Operation) -> str:
    """Return a provider's id, or raise InvalidResponseError when it is none that we could use in a URL."""
    if not isinstance(value, str) or not is_usable_id(value):
        raise driver.invalid(operation, "the file has no usable id")
    return value


def checked_objects(value: JSONValue, driver: HTTPDriver) -> list[JSONObject]:
    """Return the file objects of a list, or raise InvalidResponseError when `value` is no list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise driver.invalid(Operation.LIST, "there is no list of files in it")
    return [each for each in value if isinstance(each, Mapping)]


def path_segment(value: str) -> str:
    """Escape `value` for use as one segment of a URL's path."""
    return quote(value, safe="")


def parse_content_range(response: Response) -> tuple[int, int, int] | None:
    """Return (first, last, total) of a 206's Content-Range, None when it cannot be understood."""
    match = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", response.headers.get("Content-Range", ""))
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_time(value: JSONValue) -> datetime | None:
    """Read a time: Unix seconds, milliseconds (above 10^11), digits in a string, or RFC 3339.

    Returns it in UTC; None for anything else, and for times that no file can have, such as the year 1 that
    Go writes for no time.
    """
    try:
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            parsed = datetime.fromisoformat(value)
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        elif isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        else:
            number = int(value[:15]) if isinstance(value, str) else value
            moment = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.timestamp() > 0 else None


def parse_size(value: JSONValue) -> int | None:
    """Read a size in bytes: a non-negative integer or its digits in a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:19])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return None
    return value


def parse_text(value: JSONValue, limit: int = 255) -> str | None:
    """Return a non-empty string clipped to `limit` characters; None for anything else."""
    return value[:limit] if isinstance(value, str) and value else None
