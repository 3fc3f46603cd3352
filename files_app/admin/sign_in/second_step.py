"""What follows a good password: the code of a second factor, or setting one up where it is asked for.

Until then nobody is signed in: the session only remembers whose password was good, for ten minutes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from files_app.admin.sign_in.entering import alone, enter, limited, wanted_page
from files_app.exceptions import NotAllowedError
from files_app.models import AuditEvent, SecondFactor
from files_app.observability import context
from files_app.services.index.callers import Caller
from files_app.services.tenants.sign_in import factors

if TYPE_CHECKING:
    from django.contrib.admin.forms import AdminAuthenticationForm as AuthenticationForm
else:
    from unfold.forms import AuthenticationForm

_PENDING = "second_step"
_PENDING_SECONDS = 600


class SecondStepNeededError(Exception):
    """The password was good, and a second factor is asked for."""

    def __init__(self, user: User) -> None:
        super().__init__("a second factor is needed")
        self.user = user


class PasswordForm(AuthenticationForm):
    """The form of the sign-in page."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Let nobody in by a password alone who has a second factor, or needs one. Raises."""
        super().confirm_login_allowed(user)
        if factors.factor_of(user) is not None or factors.is_needed(user):
            raise SecondStepNeededError(user)


def begin(request: HttpRequest, user: User) -> HttpResponse:
    """Remember whose password was good, and lead to the next step."""
    next_url = wanted_page(request)
    request.session.flush()
    request.session[_PENDING] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "until": time.time() + _PENDING_SECONDS,
        "next": next_url,
    }
    is_known = factors.factor_of(user) is not None
    return redirect(reverse("admin:login_code" if is_known else "admin:login_factor"))


def pending_user(request: HttpRequest) -> User | None:
    """Return whose password was good lately in this session, if it still is."""
    kept = request.session.get(_PENDING)
    if not kept or kept["until"] < time.time():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True, is_staff=True).first()
    is_same = user is not None and constant_time_compare(kept["hash"], user.get_session_auth_hash())
    return user if is_same else None


def complete(request: HttpRequest, user: User) -> str:
    """Sign the user in, and return where the person wanted to go."""
    kept = request.session.pop(_PENDING)
    enter(request, user)
    return wanted_page(request, kept["next"])


def caller_for(request: HttpRequest, user: User) -> Caller:
    """Return the user as a caller, who may not be the request's yet."""
    address = request.META.get("REMOTE_ADDR") or None
    return Caller(0, AuditEvent.Actor.USER, user.get_username(), ip=address, request_id=context.request_id())


@limited
def ask_code(request: HttpRequest) -> HttpResponse:
    """Ask for a code of the app or a recovery code, and sign in with it."""
    user = pending_user(request)
    factor = factors.factor_of(user) if user else None
    if user is None or factor is None:
        return redirect(reverse("admin:login"))
    error = ""
    if request.method == "POST":
        try:
            return _take(request, user, factor)
        except NotAllowedError as exc:
            error = exc.message
    names = {"error": error, "username": user.get_username()}
    return alone(request, "code.html", "Second factor", names, status=403 if error else 200)


def _take(request: HttpRequest, user: User, factor: SecondFactor) -> HttpResponse:
    way = factors.prove(factor, request.POST.get("code", ""), caller=caller_for(request, user))
    where = complete(request, user)
    if way is factors.Way.RECOVERY_CODE:
        left = factors.codes_left(factor)
        messages.warning(
            request, f"You used a recovery code: {left} are left. Make new ones under Second factor."
        )
    return redirect(where)
