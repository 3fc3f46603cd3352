"""The base of every driver that speaks to an HTTP API: sending, and telling a success from an error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import ClassVar, Final

from providers.base import AccountConfig, Driver, Setting
from providers.errors import ErrorDetails, error_from_response
from providers.exceptions import InvalidResponseError, ProviderError, ProviderUnavailableError
from providers.objects import ByteRange, Download, JSONObject, Operation
from providers.parsing import check_endpoint, check_header_value, parse_content_range, split_url
from providers.transports.http import HTTPTransport, Request, Response, StreamBody
from providers.transports.multipart import FormField, FormFile, FormPart, MultipartForm

#: Operations on one file, which alone can be told that the file is gone.
_FILE_OPERATIONS = frozenset({Operation.RETRIEVE, Operation.CONTENT, Operation.DELETE})


#: A form up to this size is sent in one piece.
_MOST_AT_ONCE: Final = 65_536

API_KEY: Final = Setting("api_key", "API key", required=True, secret=True)


class HTTPDriver(Driver):
    """Speaks HTTP with the transport it was given, or one of its own."""

    credentials: ClassVar[tuple[Setting, ...]] = (API_KEY,)
    #: What says that a file is gone, besides 404 and 410.
    missing_statuses: ClassVar[frozenset[int]] = frozenset()

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
        response = self.transport.send(request)
        if response.status not in expected:
            raise self.error_from(response, operation)
        if isinstance(request.body, StreamBody) and not request.body.exhausted:
            response.close()
            raise self.invalid("it did so before it had the whole file", response)
        return response

    def send_delete(self, request: Request) -> None:
        """Send a DELETE. Raises a retryable error when the answer is that the file is not deleted."""
        response = self.send(Operation.DELETE, request)
        if not response.body().strip():
            return  # several providers answer 204, or 200 with nothing
        if self.json_object(response).get("deleted") is False:
            raise ProviderUnavailableError(
                f"{self.label} has not deleted the file.",
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
            raise self.invalid("it named a storage address that cannot be trusted")
        try:
            return self.send_bare(operation, replace(request, follow_redirects=True), expected=expected)
        except ProviderError as exc:
            if exc.status_code not in {401, 403, 404, 410}:
                raise
            raise ProviderUnavailableError(
                f"{self.label}'s storage refused the URL that {self.label} gave."
            ) from exc

    def put_signed(self, url: str, body: StreamBody, headers: Mapping[str, str] | None = None) -> Response:
        """Send bytes of an upload to a URL that the provider signed, and return the answer, closed."""
        request = Request("PUT", url, headers or {}, body=body)
        response = self.send_signed(Operation.CREATE, request, expected={200})
        response.close()
        return response

    def send_json(self, operation: Operation, request: Request) -> JSONObject:
        """Send and return the JSON object that the provider answers with success."""
        return self.json_object(self.send(operation, request))

    def json_object(self, response: Response) -> JSONObject:
        """Return the JSON object in a success. Raises InvalidResponseError when there is none."""
        body = response.json()
        if not isinstance(body, Mapping):
            raise self.invalid("its answer is not a JSON object", response)
        return body

    def error_from(self, response: Response, operation: Operation) -> ProviderError:
        """Return the error that an unsuccessful answer means."""
        return error_from_response(
            response,
            operation=operation,
            missing_statuses=self.missing_statuses if operation in _FILE_OPERATIONS else frozenset(),
            kind_of=partial(self.error_kind, operation),
        )

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """Return what this provider means by an error, None where its status says it."""
        return None

    def invalid(self, reason: str, response: Response | None = None) -> InvalidResponseError:
        """Return the error for a success that makes no sense."""
        return InvalidResponseError(
            f"{self.label} answered with success, but {reason}.",
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
        is_part = response.status == 206
        content_range = parse_content_range(response.headers.get("Content-Range", "") if is_part else "")
        if is_part and not (may_be_part and content_range):
            response.close()
            raise self.invalid("with a part of the file that it was not asked for", response)
        if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
            response.close()
            raise self.invalid("its bytes are compressed although it was asked not to", response)
        return Download(
            chunks=response.iter_bytes(self.account.environment.chunk_bytes),
            close=response.close,
            length=response.length,
            content_type=response.headers.get("Content-Type"),
            content_range=content_range,
        )


def with_json(request: Request, body: JSONObject) -> Request:
    """Return `request` with a JSON body."""
    headers = {**request.headers, "Content-Type": "application/json"}
    return replace(request, headers=headers, body=json.dumps(body).encode())


def with_form(
    request: Request, fields: Sequence[FormField], file: FormFile, behind: Iterable[FormPart] = ()
) -> Request:
    """Return `request` with a form of `fields`, the file and what comes `behind` it, pulled while it is sent.

    The length is announced where the file's is known: such a file was spooled, and nothing follows it.
    """
    form = MultipartForm(chain(fields, [file], behind))
    length = None if file.part.length is None else form.length(fields, file)
    headers = {**request.headers, "Content-Type": form.content_type}
    is_small = length is not None and length <= _MOST_AT_ONCE
    body = StreamBody(_joined(form) if is_small else iter(form), length, is_at_hand=is_small)
    return replace(request, headers=headers, body=body)


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is small in one piece, once it is asked for: each costs a packet and a turn of a thread."""
    yield b"".join(chunks)
