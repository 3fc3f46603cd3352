"""The admin site's pages of signing in. `GatewaySite` is one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path

from files_app.admin.sign_in import factor, oidc, once, second_step
from files_app.admin.sign_in.entering import offers, refusal
from files_app.exceptions import NotAllowedError

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite as UnfoldAdminSite
else:
    from unfold.sites import UnfoldAdminSite


class SignInSite(UnfoldAdminSite):
    """A site that people enter in several ways."""

    login_form = second_step.PasswordForm
    login_template = "files_app/admin/sign_in/sign_in.html"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        pages: list[URLPattern | URLResolver] = [
            path("login/oidc/", oidc.begin, name="login_oidc"),
            path("login/oidc/back/", oidc.finish, name="login_oidc_back"),
            path("login/code/", second_step.ask_code, name="login_code"),
            path("login/second-factor/", factor.own_factor, name="login_factor"),
            path("login/once/", once.take, name="login_once"),
        ]
        return pages + super().get_urls()

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show what the ways in are, and take passwords where they are one of them."""
        if request.method == "POST" and not settings.PASSWORD_SIGN_IN:
            return refusal(
                request, NotAllowedError("Passwords are not taken here: sign in with your company.")
            )
        try:
            answer: HttpResponse = super().login(request, {**offers(), **(extra_context or {})})
        except second_step.SecondStepNeededError as needed:
            answer = second_step.begin(request, needed.user)
        return answer
