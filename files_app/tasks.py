"""Celery tasks: hints at what the database says is due. Each only hands over, and is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from files_app.services.bulk import work
from files_app.services.deletes import queue
from files_app.services.reading import line_index
from files_app.services.upstream import translation
from files_app.services.webhooks import queue as webhooks


@shared_task
def deliver_delete(copy_pk: int, account_pk: int | None = None) -> None:
    """Deliver one delete at its provider now, not with the outbox's next turn."""
    queue.deliver_soon(copy_pk, account_pk)


@shared_task
def deliver_deletes() -> None:
    """Deliver all that is due now, not with the outbox's next turn.

    The beat of an earlier version asks for it too, until it is stopped.
    """
    queue.deliver_due()


@shared_task
def translate_results_of(account_pk: int) -> None:
    """Translate what is due of an account's batch results now, not when beat finds it."""
    translation.translate_soon(account_pk)


@shared_task
def index_lines_of(account_pk: int) -> None:
    """Index the lines of an account's files that somebody waits for, not when beat finds them."""
    line_index.index_soon(account_pk)


@shared_task
def deliver_webhooks(endpoint_pk: int) -> None:
    """Send an endpoint what is due to it now, not with the outbox's next turn."""
    webhooks.deliver_soon(endpoint_pk)


@shared_task
def work_on_job(job_pk: int) -> None:
    """Work on a job on many files now, not when beat finds it."""
    work.work_soon(job_pk)
