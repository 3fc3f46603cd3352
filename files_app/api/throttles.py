"""Rate limits of the API, in DRF's terms; the counting is in `services.tenants.throttle`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from files_app.api.authentication import caller_of
from files_app.observability import context
from files_app.services.tenants import throttle
from files_app.services.uploads.request import UploadRequest
from files_app.web.bodies import content_length

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # DRF reads its settings, and so this module, while it loads views
    )


@contextmanager
def counted_at_end(upload: UploadRequest) -> Iterator[None]:
    """Count the bytes of an upload whose length nobody told."""
    try:
        yield
    finally:
        record = context.current()
        if upload.source.length is None and record is not None:
            throttle.add_bytes(upload.caller, record.bytes_in)


class RequestRate(BaseThrottle):
    """Requests that a key and its organization send within a minute."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True, or raise TooManyRequestsError, which says how long to wait."""
        if caller := caller_of(request):  # OPTIONS has none
            throttle.count_request(caller)
        return True


class UploadRate(BaseThrottle):
    """Uploads that they begin within a minute, and the bytes of those."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True, or raise TooManyRequestsError, which says how long to wait."""
        throttle.count_upload(caller_of(request), content_length(request))
        return True
