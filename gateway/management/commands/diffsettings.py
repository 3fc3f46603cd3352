"""`manage.py diffsettings` without secrets: what it prints is pasted into questions and tickets."""

from typing import Any

from django.conf import settings
from django.core.management.commands import diffsettings

from files_app.observability.redaction import ReporterFilter, mask

Reprs = dict[str, str]  # of values, by the setting's name


class Command(diffsettings.Command):
    def output_hash(self, user_settings: Reprs, default_settings: Reprs, **options: Any) -> list[str]:
        return super().output_hash(_ours(user_settings), _others(default_settings), **options)

    def output_unified(self, user_settings: Reprs, default_settings: Reprs, **options: Any) -> list[str]:
        return super().output_unified(_ours(user_settings), _others(default_settings), **options)


def _ours(shown: Reprs) -> Reprs:
    cleanse = ReporterFilter().cleanse_setting
    return {name: repr(cleanse(name, getattr(settings, name))) for name in shown}


def _others(shown: Reprs) -> Reprs:
    """Of these there is no value to look into, only what it looks like."""
    is_hidden = ReporterFilter.hidden_settings.search
    hidden = repr(ReporterFilter.cleansed_substitute)
    return {name: hidden if is_hidden(name) else mask(text) for name, text in shown.items()}
