"""Middleware that only the admin needs: the API has no session, no cookie and no form to protect.

They stand together, and the first passes every other path on to what stands behind the last of them. They are
subclasses of Django's, so that its system checks find them.
"""

from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from axes.middleware import AxesMiddleware as Axes
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware as Authentication
from django.contrib.messages.middleware import MessageMiddleware as Messages
from django.contrib.sessions.middleware import SessionMiddleware as Sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as XFrameOptions
from django.middleware.csrf import CsrfViewMiddleware as Csrf
from django.utils import timezone

ADMIN_PREFIX = f"/{settings.ADMIN_PATH}"


class ForPeople:
    """Mixed into a middleware, leaves requests alone that are not the admin's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        super().__init__(get_response)  # type: ignore[call-arg]  # Django's middleware
        following = getattr(get_response, "__wrapped__", None)  # Django has a handler of errors around each
        self._beyond: Callable[[HttpRequest], HttpResponseBase] = (
            following._beyond if isinstance(following, ForPeople) else get_response
        )

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(ADMIN_PREFIX):
            response: HttpResponseBase = super().__call__(request)  # type: ignore[misc]  # Django's middleware
        else:
            response = self._beyond(request)
        return response


class SessionMiddleware(ForPeople, Sessions):
    """Sessions of the admin."""


class CsrfViewMiddleware(ForPeople, Csrf):
    """Cross-site request forgery protection of the admin."""

    def process_view(self, request: HttpRequest, *arguments: Any) -> Any:
        """Check only what has a session to abuse; the API's keys are in a header that no form can send."""
        if request.path_info.startswith(ADMIN_PREFIX):
            return super().process_view(request, *arguments)
        return None


class AuthenticationMiddleware(ForPeople, Authentication):
    """Users of the admin."""


class MessageMiddleware(ForPeople, Messages):
    """Messages of the admin."""


class _TimeZones:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone(request.COOKIES.get("timezone", ""))):
            return self.get_response(request)


class TimeZoneMiddleware(ForPeople, _TimeZones):
    """Shows the admin's times in the viewer's zone, which a script writes into a cookie; in UTC before."""


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """Return the time zone of that name; UTC for none, for one that is not known, and for a strange one."""
    try:
        return ZoneInfo(unquote(name)[:64]) if name else UTC
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


class XFrameOptionsMiddleware(ForPeople, XFrameOptions):
    """Framing of the admin; everything else says so in its Content-Security-Policy."""


class AxesMiddleware(ForPeople, Axes):  # type: ignore[misc]  # its package has no types
    """What a sign-in that is locked out is told; no request of the API signs in."""
