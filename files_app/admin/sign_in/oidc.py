"""To the company's provider and back.

Both ways lead over a page that goes on by itself. On the way there, because browsers hold every address that
a form's redirects pass to `form-action`, and a provider may lead on to others. On the way back, because a
browser sends no `Strict` cookie along a redirect that another site began: the page's own step is ours.
"""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse

from files_app.admin.sign_in.entering import alone, enter, limited, wanted_page
from files_app.observability import context
from files_app.services.tenants.sign_in import oidc, people


@limited
def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider, with a cookie that brings it back."""
    _check_is_on()
    if request.method != "POST":
        return redirect(reverse("admin:login"))
    where, ticket = oidc.begin(_way_back(request), next_url=wanted_page(request))
    response = _go_on(request, where, f"On to {settings.OIDC_NAME}")
    response.set_cookie(
        settings.OIDC_COOKIE_NAME,
        ticket,
        max_age=oidc.STATE_SECONDS,
        secure=settings.HAS_TLS,
        httponly=True,
        samesite="Lax",
    )
    return response


@limited
def finish(request: HttpRequest) -> HttpResponse:
    """Take who comes back from the provider, and begin a session."""
    _check_is_on()
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    claims, next_url = oidc.finish(request.COOKIES.get(settings.OIDC_COOKIE_NAME, ""), request.GET.dict())
    address = request.META.get("REMOTE_ADDR") or None
    user = people.admit(claims, ip=address, request_id=context.request_id())
    enter(request, user, seconds=settings.OIDC_SESSION_SECONDS)
    response = _go_on(request, wanted_page(request, next_url), "Signed in")
    response.delete_cookie(settings.OIDC_COOKIE_NAME, samesite="Lax")
    return response


def _way_back(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("admin:login_oidc_back"))


def _go_on(request: HttpRequest, where: str, title: str) -> HttpResponse:
    # In a `refresh` a quote begins the address: what stands behind it would be the way to another host.
    where = where.replace("'", "%27").replace('"', "%22")
    return alone(request, "go_on.html", title, {"where": where}, headers={"Referrer-Policy": "no-referrer"})


def _check_is_on() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404
