"""The Files API: policies, a service call, an answer. No view names a driver or catches its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header, parse_etags
from rest_framework.request import Request
from rest_framework.views import APIView

from files_app.api import parameters, schema
from files_app.api.serializers import file_object, provider_object, usage_object
from files_app.exceptions import BodyIncompleteError, BodyStalledError, InvalidRequestError
from files_app.models import File, Organization
from files_app.observability import context
from files_app.services.accounts.saving import select_account, usable_accounts
from files_app.services.deletes import delivery as deletes
from files_app.services.index.callers import Caller
from files_app.services.reading import downloads, listing
from files_app.services.tenants import throttle
from files_app.services.uploads import idempotency
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.request import UploadRequest
from files_app.services.upstream import schedule as freshness
from files_app.services.upstream.retrieve import get_file
from files_app.streams.form import BodySource, boundary_of
from providers.objects import ByteRange

#: Content types that are safe to name; everything else is bytes.
SAFE_CONTENT_TYPES = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/octet-stream",
        "application/pdf",
        "application/x-ndjson",
        "application/zip",
        "audio/mpeg",
        "audio/wav",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
        "video/mp4",
    }
)
CACHE_CONTROL = "private, no-store"
SYNC_HEADER = "x-files-gateway-sync"


class FilesView(APIView):
    """The collection of files."""

    @schema.list_files
    def get(self, request: Request) -> JsonResponse:
        """List the organization's files."""
        caller = caller_of(request)
        query = parameters.list_query(request._request.GET)
        name = parameters.provider_name(request._request)
        account = select_account(caller.organization_id, name) if name is not None else None
        headers = {SYNC_HEADER: freshness.sync_before_list(account)} if account is not None else {}
        page = listing.list_files(caller.organization_id, query, account)
        data = [file_object(file) for file in page.files]
        return JsonResponse(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": page.has_more,
            },
            headers=headers,
        )

    @schema.create_file
    def post(self, request: Request) -> JsonResponse:
        """Upload a file."""
        django_request = request._request
        upload = UploadRequest(
            caller=caller_of(request),
            source=body_source(django_request),
            account_name=parameters.provider_name(django_request),
            metadata=parameters.metadata(django_request),
            sdk_retry_count=parameters.sdk_retry_count(django_request),
            placement=parameters.placement(django_request),
        )
        key = django_request.META.get("HTTP_IDEMPOTENCY_KEY")
        with throttle.upload_slot(upload.caller):
            if key is not None:
                return JsonResponse(idempotency.upload_once(upload, key, file_object))
            return JsonResponse(file_object(upload_file(upload)))


class FileView(APIView):
    """One file."""

    @schema.retrieve_file
    def get(self, request: Request, file_id: str) -> JsonResponse:
        """Retrieve a file object."""
        return JsonResponse(file_object(self._file(request, file_id)))

    @schema.delete_file
    def delete(self, request: Request, file_id: str) -> JsonResponse:
        """Delete a file."""
        file = self._file(request, file_id)
        deletes.delete_file(file, caller=caller_of(request))
        return JsonResponse({"id": file.file_id, "object": "file", "deleted": True})

    def _file(self, request: Request, file_id: str) -> File:
        name = parameters.provider_name(request._request)
        return get_file(caller_of(request).organization_id, file_id, name)


class FileContentView(APIView):
    """The bytes of a file."""

    @schema.download_file
    def get(self, request: Request, file_id: str) -> HttpResponse | StreamingHttpResponse:
        """Download a file's content."""
        caller = caller_of(request)
        file = get_file(caller.organization_id, file_id, parameters.provider_name(request._request))
        if is_unmodified(request._request, file):
            return unmodified(file)
        byte_range = parameters.byte_range(request._request, etag=etag_of(file))
        if byte_range is not None and not is_satisfiable(byte_range, file):
            return range_not_satisfiable(file)
        return content_response(file, downloads.open_file(file, caller=caller, byte_range=byte_range))

    @schema.describe_content
    def head(self, request: Request, file_id: str) -> HttpResponse:
        """Answer what a download would, without asking the provider."""
        caller = caller_of(request)
        file = get_file(caller.organization_id, file_id, parameters.provider_name(request._request))
        downloads.require_content(file)
        if is_unmodified(request._request, file):
            return unmodified(file)
        headers = content_headers(file, file.content_type)
        if file.sha256 or file.bytes:  # not every provider tells the size of a file that was made elsewhere
            headers["Content-Length"] = str(file.bytes)
        return HttpResponse(headers=headers)


class ProvidersView(APIView):
    """The accounts that the key may use."""

    @schema.list_providers
    def get(self, request: Request) -> JsonResponse:
        """List provider accounts with their capabilities and limits."""
        organization = Organization.objects.get(pk=caller_of(request).organization_id)
        limits = service_limits()
        accounts = usable_accounts(organization)
        data = [provider_object(account, organization, limits) for account in accounts]
        return JsonResponse({"object": "list", "data": data})


class UsageView(APIView):
    """What the organization uses."""

    @schema.retrieve_usage
    def get(self, request: Request) -> JsonResponse:
        """Return used, reserved and allowed bytes."""
        organization = Organization.objects.get(pk=caller_of(request).organization_id)
        return JsonResponse(usage_object(organization))


def caller_of(request: Request) -> Caller:
    """Return who calls."""
    return cast(Caller, request.user)  # what ApiKeyAuthentication returns


def service_limits() -> dict[str, int]:
    """Return the limits that hold for every provider."""
    return {
        "batch_max_file_bytes": settings.BATCH_MAX_FILE_BYTES,
        "batch_max_line_bytes": settings.BATCH_MAX_LINE_BYTES,
        "batch_max_lines": settings.BATCH_MAX_LINES,
        "batch_max_depth": settings.BATCH_MAX_DEPTH,
        "assistants_max_tokens": settings.ASSISTANTS_MAX_TOKENS,
    }


def body_source(request: HttpRequest) -> BodySource:
    """Return the raw body of an upload; nothing else may read it. Raises InvalidRequestError."""
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise InvalidRequestError("Send the body without Content-Encoding.", param="Content-Encoding")
    return BodySource(
        read=body_reader(request),
        boundary=boundary_of(request.META.get("CONTENT_TYPE", "")),
        length=parameters.content_length(request),
        chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
        max_overhead_bytes=settings.MULTIPART_OVERHEAD_BYTES,
    )


def body_reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Return what reads the raw body, counts it, and names what can go wrong."""
    stream = request.META["wsgi.input"]
    if socket := request.META.get("gunicorn.socket"):
        socket.settimeout(settings.CLIENT_IDLE_SECONDS)

    def read(size: int) -> bytes:
        try:
            chunk: bytes = stream.read(size)
        except TimeoutError as exc:
            raise BodyStalledError("The upload stopped before it was complete. Send it again.") from exc
        except OSError as exc:
            raise BodyIncompleteError("The connection broke before the upload was complete.") from exc
        context.count_received(len(chunk))
        return chunk

    return read


def content_response(file: File, opened: downloads.OpenedFile) -> StreamingHttpResponse:
    """Return a streaming answer with a length, so that a broken transfer looks broken."""
    headers = content_headers(file, opened.content_type)
    headers["Content-Length"] = str(opened.length)
    status = 200
    if opened.content_range is not None:
        first, last, total = opened.content_range
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        status = 206
    return StreamingHttpResponse(_ClosingStream(opened), status=status, headers=headers)


def content_headers(file: File, content_type: str) -> dict[str, str]:
    """Return headers under which no browser runs what somebody uploaded."""
    headers = {
        "Content-Type": content_type if content_type in SAFE_CONTENT_TYPES else "application/octet-stream",
        "Content-Disposition": content_disposition_header(True, file.filename or file.file_id)
        or "attachment",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": CACHE_CONTROL,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if file.sha256:
        headers["ETag"] = etag_of(file)
    return headers


def etag_of(file: File) -> str:
    """Return the strong entity tag of the content; empty where its checksum is not known."""
    return f'"{file.sha256}"' if file.sha256 else ""


def is_unmodified(request: HttpRequest, file: File) -> bool:
    """Whether the client has these bytes already."""
    given = [etag.removeprefix("W/") for etag in parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))]
    return bool(file.sha256) and ("*" in given or etag_of(file) in given)


def unmodified(file: File) -> HttpResponse:
    """Return 304, with the headers of a 200 that RFC 9110 wants in it."""
    return HttpResponse(status=304, headers={"ETag": etag_of(file), "Cache-Control": CACHE_CONTROL})


def is_satisfiable(byte_range: ByteRange, file: File) -> bool:
    """Whether any byte of the range exists; what the index does not know, the provider decides."""
    if not file.sha256:
        return True
    if byte_range.first is None:
        return byte_range.last != 0
    return byte_range.first < file.bytes


def range_not_satisfiable(file: File) -> HttpResponse:
    """Return 416 in OpenAI's envelope."""
    body: dict[str, Any] = {
        "error": {
            "message": f"The range is outside of the file's {file.bytes} bytes.",
            "type": "invalid_request_error",
            "param": "Range",
            "code": "range_not_satisfiable",
        }
    }
    return JsonResponse(body, status=416, headers={"Content-Range": f"bytes */{file.bytes}"})


class _ClosingStream:
    """Closes the provider's connection when the server is done, also after the client went away."""

    def __init__(self, opened: downloads.OpenedFile) -> None:
        self._opened = opened

    def __iter__(self) -> Iterator[bytes]:
        return self._opened.chunks

    def close(self) -> None:
        self._opened.close()
