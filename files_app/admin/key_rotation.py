"""Rotation on a key's page: a new secret, shown once, and how long the old one works besides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from unfold import widgets

from files_app.models import ApiKey
from files_app.services.tenants.key_rotation import working_secret

#: Of the secrets that a key had, so many are shown.
_SHOWN_SECRETS = 5
_HOUR = 3_600


class RotationForm(forms.Form):
    """What becomes of the old secret."""

    overlap = forms.TypedChoiceField(
        label="The old secret",
        choices=[
            (24 * _HOUR, "works for 24 hours: time to move the programs that use it"),
            (7 * 24 * _HOUR, "works for 7 days"),
            (_HOUR, "works for 1 hour"),
            (0, "is refused at once: it has leaked, or nothing uses it"),
        ],
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=24 * _HOUR,
        widget=widgets.UnfoldAdminRadioSelectWidget,
    )


def facts_of(row: ApiKey) -> dict[str, Any]:
    """Return what the key's page shows of its rotation."""
    return {
        "rotation": RotationForm(),
        "old_secret": working_secret(row),
        "old_secrets": row.retired_secrets.all()[:_SHOWN_SECRETS],
    }
