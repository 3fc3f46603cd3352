from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class FilesConfig(AppConfig):
    name = "files_app"
    verbose_name = "Files"


class UnfoldConfig(AppConfig):
    """Unfold's own configuration imports its admin site."""

    name = "unfold"
    default = False


class GatewayAdminConfig(admin_apps.SimpleAdminConfig):
    """Django's admin with our site in place of its own, loaded when it is asked for."""

    default = False
    default_site = "files_app.admin.site.GatewaySite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check the pages of the admin, which not every process has loaded."""
    import_module("files_app.admin.pages_of_models")
    found: list[checks.CheckMessage] = check_admin_app(app_configs, **kwargs)
    return found
