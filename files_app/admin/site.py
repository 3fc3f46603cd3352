"""The admin site: its pages beside those of the models, its sidebar, its look."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from files_app.admin import dashboard, invitation, system, upload, usage
from files_app.admin.sign_in.site import SignInSite
from files_app.admin.sign_in.trail import note_failure
from files_app.exceptions import TooManyRequestsError
from files_app.observability import context
from files_app.services.tenants import throttle
from files_app.web import error_pages


class GatewaySite(SignInSite):
    """The site that `django.contrib.admin.site` is."""

    index_title = "Overview"
    #: What does in a shell what these pages do.
    commands: ClassVar[Mapping[str, str]] = {
        "index": "doctor",
        "system": "doctor",
        "upload": "files upload",
        "upload_send": "files upload",
        "invitation": "staff password",
        "usage": "orgs usage",
    }

    def get_urls(self) -> list[URLPattern | URLResolver]:
        pages: list[URLPattern | URLResolver] = [
            path("upload/", self.admin_view(upload.upload_page), name="upload"),
            path("upload/send/", self._for_scripts(upload.receive), name="upload_send"),
            path("invitation/", invitation.invitation, name="invitation"),
            path("usage/", self.admin_view(require_safe(usage.usage_page)), name="usage"),
            path("system/", self.admin_view(system.system_page), name="system"),
        ]
        return pages + super().get_urls()

    def has_permission(self, request: HttpRequest) -> bool:
        """Let staff in, and name who it is in the request's log line."""
        is_let_in = bool(super().has_permission(request))
        if is_let_in:
            context.annotate(user=request.user.get_username())
        return is_let_in

    def _for_scripts(self, view: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
        """Return the view for scripts: whoever is signed out is told so instead of led to another page."""
        inner = self.admin_view(view)

        def respond(request: HttpRequest) -> HttpResponse:
            if not self.has_permission(request):
                return JsonResponse({"error": "You are signed out. Sign in again."}, status=401)
            return inner(request)

        return respond

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the form and take it, from no address more often than is allowed."""
        if error_pages.sign_in_cannot_work(request):
            return error_pages.needs_tls(request)
        if request.method == "POST":
            try:
                throttle.count_sign_in(request.META.get("REMOTE_ADDR", ""))
            except TooManyRequestsError as error:
                note_failure(request, "too many tries", request.POST.get("username", ""))
                return _refuse_sign_in(request, error)
        answer: HttpResponse = super().login(request, extra_context)
        if request.method == "POST" and answer.status_code == 200:  # the form again: also for who is no staff
            note_failure(request, "not staff", request.POST.get("username", ""))
        return answer

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the overview."""
        return dashboard.overview_page(request)

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Lead to the overview: the sidebar lists the pages."""
        return redirect(reverse("admin:index"))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Leave the colours to our stylesheet: the theme would write them inline, which the CSP forbids."""
        return {**super().each_context(request), "colors": None}


def _refuse_sign_in(request: HttpRequest, error: TooManyRequestsError) -> HttpResponse:
    return TemplateResponse(
        request,
        "files_app/admin/throttled.html",
        {"message": error.message},
        status=error.status,
        headers={"Retry-After": str(math.ceil(error.retry_after_seconds or 0))},
    )
