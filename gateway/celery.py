"""The Celery application; its settings are the CELERY_* names in `gateway/settings.py`."""

import os
import re
from typing import Any

import structlog
from celery import Celery, Task
from celery.app import utils
from celery.signals import before_task_publish, setup_logging, task_prerun, worker_init
from django.conf import settings

from files_app.observability import context
from gateway import beats
from gateway.worker import signs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

# They mend kombu's transports; that of Redis takes 8 MB, which nobody pays for who has another broker.
if settings.CELERY_BROKER_URL.startswith("filesystem:"):
    from gateway import folder_broker  # noqa: F401
elif not settings.CELERY_BROKER_URL.startswith(("amqp", "pyamqp", "memory:")):
    from gateway import redis_broker  # noqa: F401

# `celery report` prints all of Django's settings, and knows only Celery's own names of secrets.
_hidden = utils.HIDDEN_SETTINGS.pattern  # type: ignore[attr-defined]  # which its types lack
utils.HIDDEN_SETTINGS = re.compile(f"{_hidden}|BROKER_URL|STORAGE_URL", re.IGNORECASE)  # type: ignore[attr-defined]

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add("gateway.worker.steps:Background")
app.steps["consumer"].add("gateway.worker.steps:Listening")


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Do nothing: with a receiver of this signal Celery leaves logging as Django configured it."""


@worker_init.connect
def start_beats(**kwargs: Any) -> None:
    """Say that this part is there, long before its broker answers."""
    beats.start(signs.is_well)


@before_task_publish.connect
def send_request_id(headers: dict[str, Any], **kwargs: Any) -> None:
    of_task = structlog.contextvars.get_contextvars().get("request_id")
    headers["request_id"] = context.request_id() or of_task


@task_prerun.connect
def bind_task(task_id: str, task: "Task[Any, Any]", **kwargs: Any) -> None:
    """Name the task, and the request that asked for it, in every line that the task logs."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    if request_id := task.request.get("request_id"):
        structlog.contextvars.bind_contextvars(request_id=request_id)
