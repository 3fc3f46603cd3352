"""What services publish by name is a task, and there is a period for all that is periodic."""

from typing import Any

import pytest
from celery import current_app
from django.conf import settings

from files_app import tasks  # registers them
from files_app.services.index import broker
from files_app.services.operations import upkeep


def test_all_periodic_work_has_a_period() -> None:
    assert upkeep.UPKEEP.keys() | {"outbox", "webhooks", "heartbeat"} == settings.UPKEEP_SECONDS.keys()


@pytest.mark.parametrize("task", [tasks.deliver_delete, tasks.deliver_webhooks])
def test_what_is_hinted_at_is_a_task(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **options: sent.append(name))
    assert broker.hint(task.name.removeprefix("files_app.tasks."), 1)
    assert sent == [task.name]
