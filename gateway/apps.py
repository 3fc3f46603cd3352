from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import (
            celery,  # noqa: F401 - the application that tasks are sent by
            checks,  # noqa: F401 - registers the checks
        )
