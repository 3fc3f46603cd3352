"""The page behind an invitation link: somebody who is not signed in chooses a password.

The link's secret is in its fragment, which a script puts into the form: no server and no log sees it before.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from unfold import widgets

from files_app.exceptions import InvalidRequestError, TooManyRequestsError
from files_app.observability import context
from files_app.services.tenants import invitations, throttle


class InvitationForm(forms.Form):
    """The password, twice, and the link's secret."""

    token = forms.CharField(max_length=500, widget=forms.HiddenInput)
    password = forms.CharField(
        strip=False,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html,
    )
    again = forms.CharField(
        label="The same again",
        strip=False,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a link that opens nothing any more, and a password that is weak or mistyped."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            user = invitations.invited(cleaned["token"])
            password_validation.validate_password(cleaned["password"], user)
        except InvalidRequestError as exc:
            raise ValidationError(exc.message) from None
        except ValidationError as exc:
            self.add_error("password", exc)
        if cleaned.get("password", cleaned["again"]) != cleaned["again"]:
            self.add_error("again", "The two are not the same.")
        return cleaned


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest) -> TemplateResponse:
    """Ask for a password; set it, and say with which name to sign in."""
    if request.method != "POST":
        return _page(request, form=InvitationForm())
    try:  # each try costs what a sign-in costs
        throttle.count_sign_in(request.META.get("REMOTE_ADDR", ""))
    except TooManyRequestsError as exc:
        shown = {"message": exc.message}
        return TemplateResponse(request, "files_app/admin/throttled.html", shown, status=exc.status)
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form)
    ip, request_id = request.META.get("REMOTE_ADDR") or None, context.request_id()
    try:
        user = invitations.accept(
            form.cleaned_data["token"], form.cleaned_data["password"], ip=ip, request_id=request_id
        )
    except InvalidRequestError as exc:  # somebody else was faster
        form.add_error(None, exc.message)
        return _page(request, form=form)
    return _page(request, accepted=user.get_username())


def _page(request: HttpRequest, **shown: Any) -> TemplateResponse:
    frame = {**admin.site.each_context(request), "title": "Choose a password"}
    return TemplateResponse(request, "files_app/admin/invitation.html", {**frame, **shown})
