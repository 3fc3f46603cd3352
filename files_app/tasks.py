"""Celery tasks: each calls one service and is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from files_app.services.deletes import delivery, expiry, outbox
from files_app.services.index import usage
from files_app.services.operations import cleanup, heartbeats
from files_app.services.upstream import schedule, translation


@shared_task
def deliver_delete(copy_pk: int) -> None:
    """Delete one copy at its provider."""
    delivery.deliver(copy_pk)


@shared_task
def deliver_deletes() -> None:
    """Publish the deletes that are due: first attempts whose message was lost, and retries."""
    outbox.send_due()


@shared_task
def sweep_uploads() -> None:
    """Fail uploads that died, and look for what lost answers left at the providers."""
    heartbeats.beat()
    cleanup.sweep_uploads()


@shared_task
def sweep_stores() -> None:
    """Remove half-written objects from object stores."""
    cleanup.sweep_stores()


@shared_task
def expire_files() -> None:
    """Delete files whose time is over."""
    expiry.expire_files()


@shared_task
def sync_accounts() -> None:
    """Bring the index up to date with the providers."""
    schedule.sync_due_accounts()


# A gigabyte takes longer than what other tasks do.
@shared_task(soft_time_limit=translation.MAX_SECONDS, time_limit=translation.MAX_SECONDS + 60)
def translate_result(file_pk: int) -> None:
    """Translate one batch result into OpenAI's lines."""
    translation.translate_result(file_pk)


@shared_task
def translate_results() -> None:
    """Publish the translations that are due: first attempts whose message was lost, and retries."""
    translation.send_due()


@shared_task
def recount_usage() -> None:
    """Mend the usage counters."""
    usage.recount_all()


@shared_task
def prune_records() -> None:
    """Remove records that have served their time."""
    cleanup.prune_records()
