"""What beat and a worker do with the messages of the embedded broker, in this process."""

from __future__ import annotations

from celery import current_app

from files_app.services.deletes import outbox


def deliver_by_messages() -> None:
    """Send what is due, and run the task of every message that waits."""
    current_app.loader.import_default_modules()  # the tasks
    outbox.send_due()
    name = current_app.conf.task_default_queue
    with current_app.connection_for_read() as connection, connection.SimpleQueue(name) as queue:
        while True:
            try:
                message = queue.get_nowait()
            except queue.Empty:
                return
            arguments, keywords, _ = message.payload
            current_app.tasks[message.headers["task"]](*arguments, **keywords)
            message.ack()
