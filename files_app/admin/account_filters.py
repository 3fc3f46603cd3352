"""By what the list of provider accounts is narrowed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from files_app.admin.filters import ChoiceFilter
from files_app.admin.formatting import label_of
from files_app.models import OpenBreaker
from providers.registry import DRIVERS


class EnabledFilter(ChoiceFilter):
    """By whether the account is used."""

    title = "state"
    parameter_name = "enabled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("1", "enabled"),
            ("0", "disabled"),
            ("failing", "sync fails"),
            ("shared", "files shared"),
            ("silent", "does not answer"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "1":
                return queryset.filter(is_enabled=True)
            case "0":
                return queryset.filter(is_enabled=False)
            case "failing":
                return queryset.exclude(last_sync_error="")
            case "shared":
                return queryset.filter(shared_since__isnull=False)
            case "silent":
                return queryset.filter(open_breakers__in=OpenBreaker.objects.current()).distinct()
        return queryset


class DriverFilter(ChoiceFilter):
    """By driver."""

    title = "driver"
    parameter_name = "driver"
    column = "driver"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label_of(name)) for name in DRIVERS]
