"""The page that takes a code from the command line."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from files_app.admin.sign_in.entering import alone, enter, limited, wanted_page
from files_app.exceptions import NotAllowedError
from files_app.services.tenants.sign_in.once import take_code


@limited
def take(request: HttpRequest) -> HttpResponse:
    """Ask for the code, and begin a session with it."""
    error = ""
    if request.method == "POST":
        try:
            enter(request, take_code(request.POST.get("code", "")))
        except NotAllowedError as exc:
            error = exc.message
        else:
            return redirect(wanted_page(request))
    return alone(request, "once.html", "Sign in with a code", {"error": error}, status=403 if error else 200)
