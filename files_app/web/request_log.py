"""Gives each request an id, and one log line and one count when its response is finished."""

import time
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import unquote

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase, StreamingHttpResponse

from files_app.observability import context, metrics
from files_app.observability.context import RequestRecord
from files_app.observability.redaction import mask_path, mask_words
from files_app.services.index.metering import traffic
from files_app.web.client_address import forwarded_address

log = structlog.get_logger("request")

Outcome = Literal["complete", "aborted", "failed"]
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LONGEST_LOGGED_PATH = 2_048
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        record = context.begin(client_request_id=request.META.get("HTTP_X_CLIENT_REQUEST_ID", ""))
        if settings.PROXY_COUNT:
            believe_proxies(request)
        response = self.get_response(request)
        response.headers["x-request-id"] = record.request_id
        for name, value in record.headers.items():
            response.headers[name] = value
        if isinstance(response, StreamingHttpResponse):
            stream = iter(response.streaming_content)  # type: ignore[arg-type]  # the service is WSGI: never async
            response.streaming_content = ObservedStream(
                stream, lambda sent, outcome: finish(request, response, record, sent, outcome)
            )
        elif isinstance(response, HttpResponse):
            size = len(response.content)
            is_without_body = response.status_code == 304 or (request.method == "HEAD" and not size)
            if not is_without_body:  # there it would be the length of what is not sent
                response.headers.setdefault("Content-Length", str(size))  # or it would be sent chunked
            finish(request, response, record, size, "complete")
        return response


def believe_proxies(request: HttpRequest) -> None:
    """Take the client's address from our proxies; one that names none makes all its clients look like one."""
    if address := forwarded_address(request):
        request.META["REMOTE_ADDR"] = address
    elif request.path not in PROBES:  # those are asked without a proxy
        log.warning("client_address_missing", header=settings.PROXY_HEADER, proxies=settings.PROXY_COUNT)


class ObservedStream:
    """Passes chunks on, and reports how many bytes went out and how it ended, once.

    Django calls `close` when the server is done with the response, also when the client went away early.
    """

    def __init__(self, stream: Iterator[bytes], report: Callable[[int, Outcome], None]) -> None:
        self._stream = stream
        self._report: Callable[[int, Outcome], None] | None = report
        self._sent = 0
        self._outcome: Outcome = "aborted"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._stream)
        except StopIteration:
            self._outcome = "complete"
            raise
        except BaseException:
            self._outcome = "failed"
            raise
        self._sent += len(chunk)
        return chunk

    def close(self) -> None:
        if self._report:
            report, self._report = self._report, None
            report(self._sent, self._outcome)


def shown_path(path: str, status: int) -> str:
    """Return the path for the log: where something was found, what stands in it is a name and no key."""
    return path if status < 400 else mask_path(path)


def shown_fields(request: HttpRequest, record: RequestRecord) -> dict[str, str | int]:
    """Return what is known of the request, for its line; a message repeats nothing that may be a key."""
    fields = record.fields | record.problem
    if message := fields.get("message"):
        match = request.resolver_match
        quoted = [unquote(str(value)) for value in match.kwargs.values()] if match else []
        fields["message"] = mask_words(str(message), *quoted)
    return fields


def finish(
    request: HttpRequest, response: HttpResponseBase, record: RequestRecord, bytes_out: int, outcome: Outcome
) -> None:
    """Count the request and write its line."""
    seconds = time.perf_counter() - record.started
    method = request.method if request.method in METHODS else "OTHER"
    match = request.resolver_match
    metrics.count_request(
        route=match.view_name if match and match.url_name else "unmatched",
        method=method,
        status=response.status_code,
        seconds=seconds,
    )
    metrics.count_bytes(
        driver=str(record.fields.get("driver", "")),
        provider=str(record.fields.get("provider", "")),
        received=record.bytes_in,
        sent=bytes_out,
    )
    if record.use:
        traffic.count_request(record.use)
    write = log.debug if request.path in PROBES and response.status_code < 400 else log.info
    write(
        "request",
        **shown_fields(request, record),
        method=method,
        path=shown_path(request.path, response.status_code)[:LONGEST_LOGGED_PATH],
        status=response.status_code,
        outcome=outcome,
        duration_ms=round(seconds * 1000, 2),
        bytes_in=record.bytes_in,
        bytes_out=bytes_out,
        remote_addr=request.META.get("REMOTE_ADDR", ""),
    )
