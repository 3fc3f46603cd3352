"""Routes for the tests of the request middleware."""

from collections.abc import Iterator

import structlog
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from files_app.observability import context
from files_app.web import probes


def plain(request: HttpRequest, name: str = "") -> HttpResponse:
    context.annotate(provider="openai-main", driver="openai", file_id="file-1")
    context.count_received(7)
    return HttpResponse(b"12345")


def stream(request: HttpRequest, fails: int = 0) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        yield b"123"
        structlog.get_logger().info("in between")
        if fails:
            raise ConnectionError("upstream went away")
        yield b"4567"

    context.annotate(provider="openai-main", driver="openai")
    return StreamingHttpResponse(chunks())


def own_policy(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"Content-Security-Policy": "sandbox"})


urlpatterns = [
    path("plain/<str:name>", plain, name="plain"),
    path("stream", stream, name="stream"),
    path("failing", stream, {"fails": 1}, name="failing"),
    path("own-policy", own_policy),
    path("admin/", plain),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
]
