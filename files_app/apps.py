from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class FilesConfig(AppConfig):
    name = "files_app"
    verbose_name = "Files"


class GatewayAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in place of its own."""

    default = False
    default_site = "files_app.admin.site.GatewaySite"

    def ready(self) -> None:
        super().ready()
        import_module("files_app.admin.pages_of_models")
