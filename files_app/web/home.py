"""The addresses that people type: the bare one says where everything is, others lead where they mean."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from files_app.web.probes import View, safe_only


@safe_only
def home(request: HttpRequest) -> HttpResponse:
    """Answer people with a page and programs with JSON: path by name."""
    places = {
        "api": "/v1",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "admin": f"/{settings.ADMIN_PATH}",
        "health": "/readyz",
    }
    response: HttpResponse
    if request.accepts("text/html") and "text/html" in request.headers.get("Accept", ""):
        response = render(request, "files_app/home.html", {"places": places})
    else:
        response = JsonResponse({"name": "Files Gateway", **places})
    patch_vary_headers(response, ["Accept"])
    return response


def elsewhere(place: str) -> View:
    """Return a view that leads on to another path."""
    return safe_only(lambda request: HttpResponseRedirect(place))
