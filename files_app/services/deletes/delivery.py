"""Delivers deletes: one attempt at the provider, and what becomes of the copy after it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from files_app.models import AuditAction, CopyState, FileCopy
from files_app.models.copies import FileCopyQuerySet
from files_app.services.accounts.drivers import driver_for, may_not_show_yet
from files_app.services.deletes.outbox import close_file
from files_app.services.index import audit, leases
from files_app.services.index.callers import system_caller
from files_app.services.index.transactions import database_time
from providers.exceptions import (
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 3.0
MAX_RETRY_SECONDS = 3_600.0
GIVE_UP_AFTER = timedelta(hours=26)
#: So much before its time `drain --early` may try a delete.
_EARLY_SECONDS = 60
#: How long one attempt may take: above what the time limits of a provider's calls allow together.
PATIENCE_SECONDS = 420
#: At the least, for a provider that is not asked: thousands may wait for one that is away.
_PUT_OFF_SECONDS = 15.0
_NO_LEASE: Mapping[str, Any] = {"lease_token": "", "lease_expires_at": None}


def deliver(copy_pk: int) -> CopyState | None:
    """Delete one copy at its provider and write down how that went; None when there was nothing to do.

    Safe to run twice and in parallel: a lease admits one, and its result counts only while the lease holds.
    """
    copy = _claim(copy_pk)
    if copy is None:
        return None
    with leases.holding(leases.DELETE, copy.pk, copy.lease_token, patience_seconds=PATIENCE_SECONDS):
        return _deliver(copy)


def _deliver(copy: FileCopy) -> CopyState | None:
    if _is_needed_by_others(copy):
        return _finish(copy)
    try:
        driver = driver_for(copy.account)
        if copy.file.result_part and driver.results is not None:
            driver.results.delete(copy.remote_id)
        else:
            driver.delete_file(copy.remote_id)
    except RemoteFileNotFoundError as exc:
        if may_not_show_yet(copy, driver):
            return _retry_later(copy, f"not shown yet: {exc.message}", None)
        return _finish(copy)
    except UnsupportedOperationError as exc:
        return _bury(copy, exc.message)
    except ProviderError as exc:
        if not exc.was_asked:
            return _put_off(copy, exc)
        return _retry_later(copy, exc.message, exc.retry_after_seconds)
    except ProviderConfigurationError as exc:
        return _retry_later(copy, str(exc), None)
    except Exception as exc:  # a driver's own mistake: without an end it would be tried for ever, and unseen
        log.exception("delete_failed_unexpectedly", copy=copy.pk, account=copy.account.name)
        return _retry_later(copy, f"unexpected {type(exc).__name__}; the worker's log has more", None)
    return _finish(copy)


def _claim(copy_pk: int) -> FileCopy | None:
    token = secrets.token_hex(16)
    due_soon = database_time(plus_seconds=_EARLY_SECONDS)
    free = FileCopy.objects.filter(
        pk=copy_pk, state=CopyState.DELETING, next_attempt_at__lte=due_soon
    ).exclude(lease_expires_at__gt=database_time(plus_seconds=0))
    claimed = free.update(
        lease_token=token,
        lease_expires_at=leases.lease_end(),
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
    if not _mine(copy).to(CopyState.DELETED, last_error="", next_attempt_at=None, **_NO_LEASE):
        return None
    close_file(copy)
    return CopyState.DELETED


def _retry_later(copy: FileCopy, error: str, retry_after_seconds: float | None) -> CopyState | None:
    first = copy.first_attempt_at or timezone.now()
    if timezone.now() - first > GIVE_UP_AFTER:
        return _bury(copy, error)
    wait = backoff_seconds(copy.attempts)
    if retry_after_seconds is not None:
        wait = max(wait, min(retry_after_seconds, MAX_RETRY_SECONDS))
    _mine(copy).update(
        last_error=error[:500],
        first_attempt_at=first,
        next_attempt_at=database_time(plus_seconds=wait),
        **_NO_LEASE,
    )
    return CopyState.DELETING


def _put_off(copy: FileCopy, exc: ProviderError) -> CopyState:
    """Leave a delete for later whose provider was not asked: that is no attempt."""
    wait = max(exc.retry_after_seconds or 0, _PUT_OFF_SECONDS) * random.uniform(1, 2)  # noqa: S311  # jitter
    _mine(copy).update(
        attempts=F("attempts") - 1,
        last_error=exc.message[:500],
        next_attempt_at=database_time(plus_seconds=wait),
        **_NO_LEASE,
    )
    return CopyState.DELETING


def _bury(copy: FileCopy, error: str) -> CopyState | None:
    """Give up: an operator has to look."""
    with transaction.atomic():
        done = _mine(copy).to(CopyState.DEAD, last_error=error[:500], next_attempt_at=None, **_NO_LEASE)
        if done:
            caller = system_caller(copy.file.organization_id)
            audit.record_file(caller, AuditAction.FILE_DELETE, copy.file, result="dead", error=error[:200])
    log.error("delete_dead", copy=copy.pk, account=copy.account.name, error=error)
    return CopyState.DEAD if done else None


def _mine(copy: FileCopy) -> FileCopyQuerySet:
    """Return the copy's row as long as our lease holds: a result of a lost lease counts for nothing."""
    return FileCopy.objects.filter(pk=copy.pk, lease_token=copy.lease_token, state=CopyState.DELETING)


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after the given number of attempts: doubling, with jitter, at most an hour."""
    full = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 20))
    return full * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
