"""Delete: a tombstone and an outbox row in one commit, the provider afterwards, as often as it takes."""

from __future__ import annotations

import random
import secrets
import threading
import time
from datetime import timedelta

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import FileNotFoundInIndexError
from files_app.models import File, FileCopy, Organization
from files_app.models.files import CopyState, DeletedReason, FileState
from files_app.observability import metrics
from files_app.services.accounts.saving import driver_for
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import database_time, release_connection
from files_app.services.tenants.keys import system_caller
from providers.exceptions import (
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)
from providers.objects import Operation

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 3.0
MAX_RETRY_SECONDS = 3_600.0
GIVE_UP_AFTER = timedelta(hours=26)
LEASE_SECONDS = 420
_RESEND_SECONDS = 60
_BROKER_PAUSE_SECONDS = 5.0


def delete_file(file: File, *, caller: Caller, reason: DeletedReason = DeletedReason.USER) -> None:
    """Make the file invisible, free its quota and let the provider's copies follow.

    Raises FileNotFoundInIndexError when somebody else was faster, and UnsupportedOperationError.
    """
    for copy in file.copies.filter(state=CopyState.AVAILABLE).select_related("account"):
        driver_for(copy.account).require(Operation.DELETE)
    with transaction.atomic():
        if not tombstone(file, reason=reason):
            raise FileNotFoundInIndexError(file.file_id)
        audit.record_file(caller, "file.delete", file, reason=reason.value)


def tombstone(file: File, *, reason: DeletedReason) -> bool:
    """Mark the file and its copies as `deleting`, inside the caller's transaction; False if it was gone."""
    now = timezone.now()
    rows = File.objects.filter(pk=file.pk, state=FileState.AVAILABLE)
    if reason == DeletedReason.EXPIRED:
        rows = rows.filter(expires_at__lte=now)  # somebody may have given it more time meanwhile
    if not rows.update(state=FileState.DELETING, deleted_reason=reason, state_changed_at=now):
        return False
    due = FileCopy.objects.filter(file=file, state=CopyState.AVAILABLE)
    for pk in list(due.values_list("pk", flat=True)):
        send_after_commit(pk)
    due.update(
        state=CopyState.DELETING,
        attempts=0,
        next_attempt_at=database_time(plus_seconds=0),
        state_changed_at=now,
    )
    if file.is_counted:  # copies first, then the counters: the order in which a settle locks them
        Organization.objects.free(file.organization_id, file.bytes)
    file.state, file.deleted_reason = FileState.DELETING, reason
    return True


def send_after_commit(copy_pk: int) -> None:
    """Ask a worker to deliver the delete at once. Only a hint: beat sends again what stays due."""
    transaction.on_commit(lambda: send(copy_pk), robust=True)


def send(copy_pk: int) -> bool:
    """Publish the delivery of one delete; False when the broker cannot take it now."""
    if not _broker.may_try():
        return False
    try:
        publish(copy_pk)
    except (BrokerError, OSError) as exc:
        _broker.failed()
        log.warning("broker_unreachable", error=type(exc).__name__)
        return False
    return True


def publish(copy_pk: int) -> None:
    """Put the task into the queue, by its name: tasks import services, not the other way round."""
    current_app.send_task("files_app.tasks.deliver_delete", args=(copy_pk,))


def send_due(limit: int = 500) -> int:
    """Publish the deletes that are due and return how many; what is lost on the way is due again soon."""
    sent = 0
    for pk in list(FileCopy.objects.due().values_list("pk", flat=True)[:limit]):
        again = database_time(plus_seconds=_RESEND_SECONDS)
        FileCopy.objects.filter(pk=pk, state=CopyState.DELETING).update(next_attempt_at=again)
        if not send(pk):
            FileCopy.objects.filter(pk=pk, state=CopyState.DELETING).update(
                next_attempt_at=database_time(plus_seconds=0)
            )
            break
        sent += 1
    return sent


def deliver(copy_pk: int) -> CopyState | None:
    """Delete one copy at its provider and write down how that went; None when there was nothing to do.

    Safe to run twice and in parallel: a lease admits one, and its result counts only while the lease holds.
    """
    copy = _claim(copy_pk)
    if copy is None:
        return None
    if _is_needed_by_others(copy):
        return _finish(copy)
    release_connection()
    try:
        driver = driver_for(copy.account)
        with metrics.provider_operation(copy.account.driver, Operation.DELETE):
            driver.delete_file(copy.remote_id)
    except RemoteFileNotFoundError:
        return _finish(copy)
    except UnsupportedOperationError as exc:
        return _bury(copy, exc.message)
    except ProviderError as exc:
        return _retry_later(copy, exc.message, exc.retry_after_seconds)
    except ProviderConfigurationError as exc:
        return _retry_later(copy, str(exc), None)
    except Exception as exc:  # a driver's own mistake: without an end it would be tried for ever, and unseen
        log.exception("delete_failed_unexpectedly", copy=copy.pk, account=copy.account.name)
        return _retry_later(copy, f"unexpected {type(exc).__name__}; the worker's log has more", None)
    return _finish(copy)


def _claim(copy_pk: int) -> FileCopy | None:
    token = secrets.token_hex(16)
    # A queue that was not read for a while holds many messages of one delete. The later ones must not cut its
    # wait short. `send_due` itself postpones what it sends by so much.
    due_soon = database_time(plus_seconds=_RESEND_SECONDS)
    free = FileCopy.objects.filter(
        pk=copy_pk, state=CopyState.DELETING, next_attempt_at__lte=due_soon
    ).exclude(lease_expires_at__gt=database_time(plus_seconds=0))
    claimed = free.update(
        lease_token=token,
        lease_expires_at=database_time(plus_seconds=LEASE_SECONDS),
        attempts=F("attempts") + 1,
    )
    if not claimed:
        return None
    copy = FileCopy.objects.select_related("account", "file").get(pk=copy_pk)
    return copy if copy.lease_token == token else None


def _is_needed_by_others(copy: FileCopy) -> bool:
    """Whether another file stands on the same remote one: the delete then goes out with the last of them.

    Copies that are being deleted count too when they are younger, so that of two the last one deletes.
    """
    if not copy.remote_id:
        return True
    holders = FileCopy.objects.holding(copy.account, copy.remote_id).exclude(pk=copy.pk)
    if not copy.is_shared_remote and not holders.filter(is_shared_remote=True).exists():
        return False
    return holders.filter(state=CopyState.AVAILABLE).exists() or (
        holders.filter(state=CopyState.DELETING, pk__gt=copy.pk).exists()
    )


@transaction.atomic
def _finish(copy: FileCopy) -> CopyState | None:
    now = timezone.now()
    if not _write(copy, state=CopyState.DELETED, last_error="", next_attempt_at=None, state_changed_at=now):
        return None
    rest = FileCopy.objects.filter(file=copy.file_id).exclude(
        state__in=[CopyState.DELETED, CopyState.FAILED, CopyState.LOST]
    )
    if not rest.exists():
        File.objects.filter(pk=copy.file_id, state=FileState.DELETING).update(
            state=FileState.DELETED, state_changed_at=now
        )
    return CopyState.DELETED


def _retry_later(copy: FileCopy, error: str, retry_after_seconds: float | None) -> CopyState | None:
    first = copy.first_attempt_at or timezone.now()
    if timezone.now() - first > GIVE_UP_AFTER:
        return _bury(copy, error)
    wait = backoff_seconds(copy.attempts)
    if retry_after_seconds is not None:
        wait = max(wait, min(retry_after_seconds, MAX_RETRY_SECONDS))
    _write(
        copy,
        last_error=error[:500],
        first_attempt_at=first,
        next_attempt_at=database_time(plus_seconds=wait),
    )
    return CopyState.DELETING


def _bury(copy: FileCopy, error: str) -> CopyState | None:
    """Give up: an operator has to look."""
    with transaction.atomic():
        done = _write(
            copy,
            state=CopyState.DEAD,
            last_error=error[:500],
            next_attempt_at=None,
            state_changed_at=timezone.now(),
        )
        if done:
            caller = system_caller(copy.file.organization_id)
            audit.record_file(caller, "file.delete", copy.file, result="dead", error=error[:200])
    log.error("delete_dead", copy=copy.pk, account=copy.account.name, error=error)
    return CopyState.DEAD if done else None


def _write(copy: FileCopy, **values: object) -> bool:
    """Write a result and end the lease; False when the lease was lost meanwhile."""
    mine = FileCopy.objects.filter(pk=copy.pk, lease_token=copy.lease_token, state=CopyState.DELETING)
    return bool(mine.update(**values, lease_token="", lease_expires_at=None))


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after the given number of attempts: doubling, with jitter, at most an hour."""
    full = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 20))
    return full * random.uniform(0.8, 1.2)  # noqa: S311  # jitter


def retry_dead(copy: FileCopy, *, caller: Caller) -> bool:
    """Put a given-up delete back into the queue; False when it is not dead."""
    with transaction.atomic():
        now = timezone.now()
        changed = FileCopy.objects.filter(pk=copy.pk, state__in=[CopyState.DEAD, CopyState.DELETING]).update(
            state=CopyState.DELETING,
            attempts=0,
            first_attempt_at=None,
            next_attempt_at=database_time(plus_seconds=0),
            state_changed_at=now,
        )
        if changed:
            audit.record_file(caller, "delete.retry", copy.file)
            send_after_commit(copy.pk)
    return bool(changed)


def give_up(copy: FileCopy, *, caller: Caller, reason: str) -> bool:
    """Stop deleting a copy at its provider, which may keep it; False when it is not waiting."""
    with transaction.atomic():
        now = timezone.now()
        waiting = FileCopy.objects.filter(pk=copy.pk, state__in=[CopyState.DEAD, CopyState.DELETING])
        changed = waiting.update(
            state=CopyState.DELETED,
            last_error=f"given up: {reason}"[:500],
            next_attempt_at=None,
            state_changed_at=now,
        )
        if changed:
            File.objects.filter(pk=copy.file_id, state=FileState.DELETING).update(
                state=FileState.DELETED, state_changed_at=now
            )
            audit.record_file(caller, "delete.give_up", copy.file, reason=reason[:200])
    return bool(changed)


class _BrokerPause:
    """After a failure, spares requests the wait for the broker for some seconds."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def may_try(self) -> bool:
        return time.monotonic() >= self._until

    def failed(self) -> None:
        with self._lock:
            self._until = time.monotonic() + _BROKER_PAUSE_SECONDS


_broker = _BrokerPause()
