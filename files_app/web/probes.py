"""`/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Callable
from functools import wraps

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from files_app.observability.gauges import GAUGE_SOURCES
from files_app.observability.metrics import Exposition
from files_app.services.operations import health
from files_app.web.errors import ErrorAnswer

log = structlog.get_logger(__name__)
exposition = Exposition(GAUGE_SOURCES)

View = Callable[[HttpRequest], HttpResponse]


def safe_only(view: View) -> View:
    """Answer other methods than GET and HEAD as the API does; Django's decorator answers HTML."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"}:
            return view(request)
        return ErrorAnswer(
            405,
            f'Method "{request.method}" not allowed.',
            code="method_not_allowed",
            headers={"Allow": "GET, HEAD"},
        ).response()

    return answer


@safe_only
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers, and which version it is; a restart would not help with anything else."""
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@safe_only
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether requests can be served.

    Body: `{"status": "ok" | "unavailable", "checks": {name: "ok" | reason}, "background": "ok" | words}`.
    Background work that stands is told and changes no status: requests are served all the same.
    """
    readiness = health.look()
    failures = readiness.failures
    if failures and not health.stopping.is_set():
        log.warning("not_ready", checks={name: health.reason(name) or failures[name] for name in failures})
    body = {
        "status": "unavailable" if failures else "ok",
        "checks": dict.fromkeys(health.CHECKS, "ok") | failures,
        "background": readiness.background,
    }
    return JsonResponse(body, status=503 if failures else 200)


@safe_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus. Organizations and accounts are named only to a scraper that holds METRICS_TOKEN."""
    token: str = settings.METRICS_TOKEN
    if token and not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}"):
        answer = HttpResponse(
            "Send METRICS_TOKEN as a bearer token.\n", status=401, content_type="text/plain"
        )
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return HttpResponse(exposition.text(with_names=bool(token)), content_type=CONTENT_TYPE_LATEST)
