"""Lets WEB_THREADS requests work at a time. The others wait for a place, and probes wait for nobody.

The server has a thread for each of its connections, so that no request waits where we cannot see it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase, StreamingHttpResponse

from files_app.exceptions import OverloadedError
from files_app.observability import metrics
from files_app.web.errors import MALFORMED_REQUEST, answer_for_gateway_error, is_admin_path
from files_app.web.request_log import PROBES

_RETRY_SECONDS = 1.0


class PlacesMiddleware:
    """Holds a place from here to the end of the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path in PROBES:
            return self.get_response(request)
        if is_admin_path(request) and request.method == "POST":
            return self._served_form(request)
        return self._served(request, _places(), settings.PLACE_WAIT_SECONDS)

    def _served_form(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a form, whose body strangers may send as slowly as they like: it is read without a place.

        What is too large to be kept in memory is read by few at once.
        """
        length = request.META.get("CONTENT_LENGTH") or ""
        if length.isdecimal() and int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            try:
                _ = request.body  # kept with the request
            except UnreadablePostError:
                return MALFORMED_REQUEST.response()
            return self._served(request, _places(), settings.PLACE_WAIT_SECONDS)
        return self._served(request, _large_forms(), 0)

    def _served(
        self, request: HttpRequest, places: threading.Semaphore, wait_seconds: float
    ) -> HttpResponseBase:
        if not places.acquire(timeout=wait_seconds):
            return too_busy("threads")
        release = places.release
        try:
            response = self.get_response(request)
        except BaseException:
            release()
            raise
        if isinstance(response, StreamingHttpResponse):
            response._resource_closers.append(release)  # type: ignore[attr-defined]  # called by `close`, once
        else:
            release()
        return response


def too_busy(share: str) -> HttpResponseBase:
    """Refuse a request for which this process has no room now. share: what of, for the metrics."""
    metrics.ADMISSIONS_REFUSED.labels(share).inc()
    return answer_for_gateway_error(
        OverloadedError(
            "The gateway has more requests than it can serve. Send this one again shortly.",
            retry_after_seconds=_RETRY_SECONDS,
        )
    ).response()


@cache
def _places() -> threading.Semaphore:
    return threading.Semaphore(settings.WEB_THREADS)


@cache
def _large_forms() -> threading.Semaphore:
    return threading.Semaphore(max(1, settings.WEB_THREADS // 16))
