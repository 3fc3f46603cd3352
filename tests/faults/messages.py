"""What a worker does with the messages of the embedded broker, and without them, in this process."""

from __future__ import annotations

from celery import current_app

import files_app.tasks  # noqa: F401 - messages name them
from files_app.services.deletes import queue as outbox


def deliver_by_messages() -> None:
    """Run the task of every message that waits, then deliver what is due without one."""
    name = current_app.conf.task_default_queue
    with current_app.connection_for_read() as connection, connection.SimpleQueue(name) as queue:
        while True:
            try:
                message = queue.get_nowait()
            except queue.Empty:
                break
            arguments, keywords, _ = message.payload
            current_app.tasks[message.headers["task"]](*arguments, **keywords)
            message.ack()
    outbox.deliver_due()
