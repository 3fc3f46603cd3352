"""What people see in a browser where a program gets an error of the API: what happened, and what to do.

The page needs no database, no session and no frame of the admin, so that it works when these do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.template.loader import render_to_string

from files_app.observability.context import request_id

#: What may be shown as a value of ALLOWED_HOSTS: a name or an address.
_HOST = re.compile(r"[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\]")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Way:
    """One way out. code: what to set or to run, if it is that."""

    title: str
    text: str
    code: str = ""


def error_page(
    status: int, heading: str, text: str, ways: Sequence[Way] = (), *, leads_back: bool = True
) -> HttpResponse:
    """Return the page. leads_back: whether it offers the admin's overview."""
    context = {
        "status": f"{status} {HTTPStatus(status).phrase}",
        "heading": heading,
        "text": text,
        "ways": ways,
        "request_id": request_id(),
        "back": f"/{settings.ADMIN_PATH}" if leads_back else "",
        "back_text": "To the overview",
    }
    return HttpResponse(render_to_string("files_app/error.html", context), status=status)


def bad_request() -> HttpResponse:
    return error_page(
        400, "The request cannot be read", "Something in it is too large, or not as a browser sends it."
    )


def permission_denied() -> HttpResponse:
    return error_page(
        403,
        "This is not for your role",
        "You are signed in, and your role and organizations do not include this page. Somebody who "
        "manages staff can change that, under Staff in the admin.",
    )


def not_found() -> HttpResponse:
    return error_page(
        404, "There is no such page", "The address is wrong, or what it showed has been removed."
    )


def server_error() -> HttpResponse:
    return error_page(
        500,
        "The gateway failed to show this page",
        "This is a fault of the gateway, not of yours. Its log says under the id below what happened.",
        [Way("Look at the health", "Often the reason is a part that does not answer.", "manage.py doctor")],
    )


def unknown_host(request: HttpRequest) -> HttpResponse:
    """Say how a name becomes one that is served."""
    host = split_domain_port(request.headers.get("Host", ""))[0]
    named = host if _HOST.fullmatch(host) else ""
    text = f"It was asked for as {named}, which is not in its list." if named else "The name is none."
    way = Way(
        "Add the name",
        "Set it for the gateway, in its environment or in the file .env beside manage.py, with all names "
        "that people and programs use; then restart it.",
        f"ALLOWED_HOSTS=localhost,127.0.0.1,{named or 'files.example.com'}",
    )
    return error_page(400, "The gateway does not serve this host name", text, [way], leads_back=False)


def sign_in_cannot_work(request: HttpRequest) -> bool:
    """Whether the browser will not keep the session's cookie, or the form's origin cannot be right.

    Where others can reach the gateway, its cookies travel over TLS alone, and none is here.
    """
    return (
        settings.HAS_TLS
        and not request.is_secure()
        and not settings.CSRF_TRUSTED_ORIGINS
        and split_domain_port(request.get_host())[0] not in _LOOPBACK
    )


def needs_tls(request: HttpRequest) -> HttpResponse:
    """Say how the admin gets TLS, or is reached without."""
    host, port = split_domain_port(request.get_host())
    local = settings.PORT
    proxy = (
        "BEHIND_TLS_PROXY is set, so the proxy has to send X-Forwarded-Proto: https with every request."
        if settings.BEHIND_TLS_PROXY
        else "Put a proxy with a certificate in front (deploy/nginx has one) that sends X-Forwarded-Proto, "
        "tell the gateway so, and restart it."
    )
    ways = [
        Way("TLS in front", proxy, "" if settings.BEHIND_TLS_PROXY else "BEHIND_TLS_PROXY=true"),
        Way(
            "A tunnel from your machine",
            f"Then open http://localhost:{local}/{settings.ADMIN_PATH}",
            f"ssh -N -L {local}:127.0.0.1:{port or local} {host}",
        ),
    ]
    return error_page(
        403,
        "Signing in needs TLS here",
        "This page came without encryption from another machine. Passwords and sessions do not travel that "
        "way, so a sign-in would fail. The API is not concerned.",
        ways,
        leads_back=False,
    )


def csrf_failure(request: HttpRequest) -> HttpResponse:
    """Say why a form was refused."""
    if sign_in_cannot_work(request):
        return needs_tls(request)
    if urlsplit(request.headers.get("Origin", "")).scheme == "https" and not request.is_secure():
        return error_page(
            403,
            "The gateway does not know that TLS is in front of it",
            "The form came from an https:// page, and the gateway was asked over http://.",
            [
                Way(
                    "Say so",
                    "The proxy has to send X-Forwarded-Proto: https with every request; restart the gateway.",
                    "BEHIND_TLS_PROXY=true",
                )
            ],
            leads_back=False,
        )
    return error_page(
        403,
        "The form is out of date",
        "You signed in or out since it was opened, or your browser keeps no cookies of this page. Open the "
        "page again and repeat what you did.",
    )
