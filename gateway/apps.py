from typing import Any

from django.apps import AppConfig, apps
from django.db import connections
from django.db.models.signals import pre_migrate


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import (
            celery,  # noqa: F401 - the application that tasks are sent by
            checks,  # noqa: F401 - registers the checks
        )

        # Django says it once for each application that has models.
        pre_migrate.connect(take_the_time, sender=apps.get_app_config("files_app"))


def take_the_time(using: str, **kwargs: Any) -> None:
    """Let a migration take as long as a large table needs."""
    connection = connections[using]
    if lift_limits := getattr(connection, "lift_limits", None):
        lift_limits()
