"""The form of one member of staff: who it is, what the person may do and see, and how to sign in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from unfold import widgets

from files_app.admin.fields import ModelForm
from files_app.models import Organization
from files_app.services.tenants import staff_roles
from files_app.services.tenants.invitations import LIFETIME

INVITATION, GENERATED = "invitation", "generated"
EVERY, CHOSEN = "every", "chosen"


class ExplainedRadios(forms.RadioSelect):
    """Radio buttons, each with a line that says what it means."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        context = self.get_context(name, value, attrs)
        return mark_safe(render_to_string("files_app/admin/radios.html", context))  # noqa: S308  # escaped there


class OrganizationBoxes(forms.CheckboxSelectMultiple):
    """A box for each organization, in a list that scrolls."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        context = self.get_context(name, value, attrs)
        return mark_safe(render_to_string("files_app/admin/boxes.html", context))  # noqa: S308  # escaped there


def _explained(title: str, meaning: str) -> SafeString:
    return format_html('{} <span class="fg-muted">{}</span>', title, meaning)


class StaffForm(ModelForm):
    """Somebody who is there already."""

    role = forms.ChoiceField(widget=ExplainedRadios)
    sight = forms.ChoiceField(
        label="Organizations",
        choices=[
            (CHOSEN, "Only these"),
            (EVERY, _explained("Every one", "those to come, and what they share")),
        ],
        initial=CHOSEN,
        widget=ExplainedRadios,
    )
    organizations = forms.ModelMultipleChoiceField(
        label="", queryset=Organization.objects.all(), required=False, widget=OrganizationBoxes
    )
    can_sign_in = forms.BooleanField(
        label="Can sign in", required=False, widget=widgets.UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = User
        fields = ["username", "first_name", "last_name", "email"]
        labels = {"username": "Name", "email": "E-mail"}
        help_texts = {"username": "What the person signs in with, and what the audit trail says."}
        widgets = dict.fromkeys(
            ("username", "first_name", "last_name", "email"), widgets.UnfoldAdminTextInputWidget
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (name, _explained(capfirst(name), meaning)) for name, meaning in staff_roles.roles()
        ]
        if self.instance.pk:
            self._show_stored(self.instance)

    def _show_stored(self, user: User) -> None:
        access = getattr(user, "staff_access", None)
        sees_all = user.is_superuser or bool(access and access.sees_all_organizations)
        stored: dict[str, Any] = {
            "role": staff_roles.role_of(user),
            "sight": EVERY if sees_all else CHOSEN,
            "organizations": list(access.organizations.values_list("pk", flat=True)) if access else [],
            "can_sign_in": user.is_active and user.is_staff,
        }
        self.initial.update(stored)

    def clean(self) -> dict[str, Any]:
        """Refuse somebody who would see nothing, and to lose the last superuser."""
        cleaned: dict[str, Any] = super().clean() or {}
        role, sight = cleaned.get("role"), cleaned.get("sight")
        is_blind = sight == CHOSEN and not cleaned.get("organizations")
        if role and role != staff_roles.SUPERUSER and is_blind:
            self.add_error("organizations", "Choose at least one organization, or every one.")
        stays = role in {None, staff_roles.SUPERUSER} and cleaned.get("can_sign_in", True)
        if self.instance.pk and not stays and staff_roles.is_last_superuser(self.instance):
            self.add_error("role", "This is the last superuser who can sign in: make another one first.")
        return cleaned

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        user.is_active = user.is_staff = self.cleaned_data.get("can_sign_in", True)
        if commit:
            user.save()
        return user


class NewStaffForm(StaffForm):
    """Somebody who is to come."""

    sign_in = forms.ChoiceField(
        label="First sign-in",
        choices=[
            (
                INVITATION,
                _explained(
                    "Invitation link", f"the person chooses a password; one use, {LIFETIME.days} days"
                ),
            ),
            (GENERATED, _explained("Generated password", "works at once")),
        ],
        initial=INVITATION,
        help_text="Either is shown once, after saving.",
        widget=ExplainedRadios,
    )
    can_sign_in = None  # type: ignore[assignment]  # somebody who is made can
