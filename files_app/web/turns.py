"""Takes a turn for each request, by whose it is: one party's crowd waits for itself.

A credential is known to be an organization's once it was good; whoever shows none or an unknown one is a
stranger, and strangers share one party, so that made-up keys do not make many.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from files_app.services.accounts.turns import Turns, end_turn, take_turn
from files_app.web.places import too_busy
from files_app.web.request_log import PROBES

_MOST_KNOWN = 10_000

_organizations: dict[int, int] = {}  # by the hash of what was shown


class TurnMiddleware:
    """Holds a turn until the answer is made, or the request goes on to wait for something else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path in PROBES:
            return self.get_response(request)
        if not take_turn(_turns(), _party(request), wait_seconds=settings.PLACE_WAIT_SECONDS):
            return too_busy("turns")
        try:
            return self.get_response(request)
        finally:
            end_turn()


def credential_in(meta: Mapping[str, Any]) -> str:
    """Return what a request shows to say whose it is, as it was sent; empty for nothing."""
    shown = meta.get("HTTP_AUTHORIZATION") or meta.get("HTTP_API_KEY")
    return str(shown or meta.get("HTTP_X_API_KEY") or "")


def remember_organization(meta: Mapping[str, Any], organization_id: int) -> None:
    """Note whose requests they are that show what this one shows."""
    if len(_organizations) >= _MOST_KNOWN:
        _organizations.clear()
    _organizations[hash(credential_in(meta))] = organization_id


def _party(request: HttpRequest) -> Hashable:
    if credential := credential_in(request.META):
        return _organizations.get(hash(credential), "strangers")
    return "people" if settings.SESSION_COOKIE_NAME in request.COOKIES else "strangers"


@cache
def _turns() -> Turns:
    return Turns(settings.TURNS_AT_ONCE)
