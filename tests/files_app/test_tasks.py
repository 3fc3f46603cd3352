"""What services publish by name is a task, and there is a period for all that is periodic."""

import pytest
from celery import current_app
from django.conf import settings

from files_app import tasks  # registers them
from files_app.services.deletes import outbox
from files_app.services.operations import upkeep


def test_all_periodic_work_has_a_period() -> None:
    assert upkeep.UPKEEP.keys() | {"outbox", "heartbeat"} == settings.UPKEEP_SECONDS.keys()


def test_a_delete_is_published_to_the_task_that_delivers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **options: sent.append(name))
    outbox.publish(1, 2)
    assert sent == [tasks.deliver_delete.name]
