"""Every task that somebody names exists: beat's schedule, and the services that publish by name."""

import pytest
from celery import current_app
from django.conf import settings

from files_app import tasks  # registers them
from files_app.services.deletes import outbox


def test_beat_calls_only_tasks_that_exist() -> None:
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled <= set(current_app.tasks)


def test_a_delete_is_published_to_the_task_that_delivers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args: sent.append(name))
    outbox.publish(1)
    assert sent == [tasks.deliver_delete.name]
