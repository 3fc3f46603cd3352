"""The page of one's own second factor: set it up, renew its recovery codes, take it off."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import mark_safe

from files_app.admin.pages import page
from files_app.admin.sign_in import second_step
from files_app.admin.sign_in.entering import alone, limited
from files_app.exceptions import NotAllowedError
from files_app.models import SecondFactor
from files_app.services.tenants.sign_in import factors
from files_app.services.tenants.sign_in.sessions import end_sessions

_SECRET = "second_factor_secret"  # noqa: S105 - where in the session it is, encrypted
_TITLE = "Second factor"


@limited
def own_factor(request: HttpRequest) -> HttpResponse:
    """Show the page to who is signed in, and to whose password was good and who needs a second factor."""
    user = _who(request)
    if user is None:
        return redirect(f"{reverse('admin:login')}?next={reverse('admin:login_factor')}")
    if not user.has_usable_password():
        raise NotAllowedError(
            "You sign in without a password: whoever vouches for you asks for more by itself."
        )
    factor = factors.factor_of(user)
    if factor is None:
        return _set_up(request, user)
    if not request.user.is_authenticated:
        return redirect(reverse("admin:login_code"))
    return _manage(request, factor)


def _who(request: HttpRequest) -> User | None:
    if admin.site.has_permission(request) and isinstance(request.user, User):
        return request.user
    return second_step.pending_user(request)


def _set_up(request: HttpRequest, user: User) -> HttpResponse:
    """Show a secret until a code of it was typed; with the password, where it was not typed just now."""
    error, is_in = "", request.user.is_authenticated
    kept: str | None = request.session.get(_SECRET)
    if request.method == "POST" and kept:
        try:
            if is_in:
                _require_password(request, user)
            codes = factors.set_up(
                user, kept, request.POST.get("code", ""), caller=second_step.caller_for(request, user)
            )
        except NotAllowedError as exc:
            error = exc.message
        else:
            return _show_codes(request, user, codes, is_new=True)
    if kept is None:
        kept = request.session[_SECRET] = factors.new_secret(user)
    context = {
        "error": error,
        "qr": _picture(factors.provisioning_uri(user, kept)),
        "secret": factors.shown_secret(user, kept),
        "is_needed": factors.is_needed(user),
        "asks_password": is_in,
    }
    return _answer(request, "factor_setup.html", _TITLE, context, status=403 if error else 200)


def _require_password(request: HttpRequest, user: User) -> None:
    """Take the user's password: whoever finds a session open must not shut its owner out of the next ones.

    Wrong ones count as those of the sign-in page do. Raises NotAllowedError.
    """
    password = request.POST.get("password", "")
    if authenticate(request, username=user.get_username(), password=password) != user:
        raise NotAllowedError("This is not your password.")


def _manage(request: HttpRequest, factor: SecondFactor) -> HttpResponse:
    """Show what there is; renew the codes or take the factor off for a code."""
    error, is_needed = "", factors.is_needed(factor.user)
    caller = second_step.caller_for(request, factor.user)
    deed = request.POST.get("deed", "")
    if request.method == "POST":
        try:
            factors.prove(factor, request.POST.get("code", ""), caller=caller)
            if deed == "renew":
                return _show_codes(
                    request, factor.user, factors.renew_codes(factor, caller=caller), is_new=False
                )
            if deed == "reset" and not is_needed:
                factors.reset(factor.user, caller=caller)
                return redirect(reverse("admin:login_factor"))
            error = "Your role needs a second factor: it cannot be taken off."
        except NotAllowedError as exc:
            error = exc.message
    context = {
        "error": error,
        "factor": factor,
        "left": factors.codes_left(factor),
        "is_needed": is_needed,
    }
    return _answer(request, "factor.html", _TITLE, context, status=403 if error else 200)


def _show_codes(request: HttpRequest, user: User, codes: list[str], *, is_new: bool) -> HttpResponse:
    """Show recovery codes, this once. With a new factor, sessions end that began without one."""
    request.session.pop(_SECRET, None)
    where = reverse("admin:index")
    if is_new:
        if not request.user.is_authenticated:
            where = second_step.complete(request, user)
        end_sessions(user, but=request.session.session_key)
    context = {"codes": codes, "all_codes": "\n".join(codes), "where": where, "is_new": is_new}
    return _answer(request, "recovery_codes.html", "Keep these recovery codes", context)


def _answer(
    request: HttpRequest, template: str, title: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return the page inside of the admin's frame, or alone for who is not signed in yet."""
    if admin.site.has_permission(request):
        frame = {"frame": "files_app/admin/base.html"}
        return page(request, f"sign_in/{template}", title, context | frame, status=status)
    frame = {"frame": "files_app/admin/sign_in/base.html", "is_alone": "1"}
    return alone(request, template, title, context | frame, status=status)


def _picture(uri: str) -> Any:
    """Return a QR code as SVG, dark on light in both themes: scanners want it so."""
    import segno  # here: few pages need it

    svg = segno.make(uri, error="m", micro=False).svg_inline(
        scale=4, omitsize=True, dark="#000", light="#fff"
    )
    return mark_safe(svg)  # noqa: S308 - drawn here; no text of anybody is in it
