"""What is asked of somebody who sets when files expire."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.functional import lazy
from unfold import widgets


class ExpiryForm(forms.Form):
    """When the selected files shall expire."""

    expires_at = forms.SplitDateTimeField(
        label="Expires at",
        required=False,
        widget=widgets.UnfoldAdminSplitDateTimeWidget,
        help_text=lazy(lambda: f"In your time zone: {timezone.get_current_timezone_name()}.", str)(),
    )
    never = forms.BooleanField(label="Never", required=False, widget=widgets.UnfoldBooleanSwitchWidget)

    def clean(self) -> dict[str, Any]:
        """Ask for a time or for `never`."""
        cleaned: dict[str, Any] = super().clean() or {}
        if bool(cleaned.get("expires_at")) == bool(cleaned.get("never")) and not self.errors:
            self.add_error("expires_at", "Choose a time, or never.")
        return cleaned
