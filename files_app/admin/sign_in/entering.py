"""What all ways in have in common: where somebody wanted to go, the limit by address, pages in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from files_app.exceptions import GatewayError
from files_app.services.tenants import throttle

#: What holds users for the session: the way in says by itself who may come.
_BACKEND = "django.contrib.auth.backends.ModelBackend"
#: Why nobody is signed in, in the words of a heading.
_HEADINGS = {400: "This sign-in cannot go on", 403: "Not signed in", 429: "Too many sign-ins"}


def limited(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let no address send this form more often than passwords, and keep the answer out of caches."""

    @wraps(view)
    def counted(request: HttpRequest) -> HttpResponse:
        try:
            if request.method == "POST":
                throttle.count_sign_in(request.META.get("REMOTE_ADDR", ""))
            return view(request)
        except GatewayError as error:
            return refusal(request, error)

    return never_cache(counted)


def refusal(request: HttpRequest, error: GatewayError) -> HttpResponse:
    """Return the page that says why nobody was signed in, and leads back."""
    headers = {}
    if error.retry_after_seconds:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    heading = _HEADINGS.get(error.status, "Signing in does not work at this moment")
    context = {"heading": heading, "message": error.message}
    return alone(request, "refused.html", heading, context, status=error.status, headers=headers)


def alone(
    request: HttpRequest,
    template: str,
    title: str,
    context: dict[str, Any] | None = None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> TemplateResponse:
    """Return a page of who is not signed in yet."""
    request.current_app = admin.site.name
    return TemplateResponse(
        request,
        f"files_app/admin/sign_in/{template}",
        {**admin.site.each_context(request), "title": title, **(context or {})},
        status=status,
        headers=headers,
    )


def wanted_page(request: HttpRequest, given: str | None = None) -> str:
    """Return where to go after signing in: a page of this host, or the overview."""
    next_url = given or request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    is_ours = url_has_allowed_host_and_scheme(
        next_url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return next_url if is_ours else reverse("admin:index")


def enter(request: HttpRequest, user: User, *, seconds: int | None = None) -> None:
    """Begin the session of a user. seconds: how long it lasts, where other than the usual time."""
    login(request, user, backend=_BACKEND)
    if seconds is not None:
        request.session.set_expiry(seconds)


def offers() -> dict[str, Any]:
    """Return what the sign-in page offers."""
    return {
        "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "takes_passwords": settings.PASSWORD_SIGN_IN,
    }
