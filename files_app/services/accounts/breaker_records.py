"""What a process tells the others of its open breakers: the admin, `doctor` and the metrics read it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import structlog
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from files_app.models import OpenBreaker

log = structlog.get_logger(__name__)


class Told(Protocol):
    """What is told of an open breaker. opened_on: None when it has closed meanwhile."""

    account_id: int
    opened_on: datetime | None
    error: str

    @property
    def kind(self) -> str:
        """A BreakerKind."""


def tell(breaker: Told) -> None:
    """Write down that a breaker of this process is open, or is no more.

    A database that is away does not hold anybody up: the next heartbeat says it again.
    """
    try:
        if breaker.opened_on is None:
            OpenBreaker.objects.filter(
                account_id=breaker.account_id, kind=breaker.kind, process=process_name()
            ).delete()
            return
        OpenBreaker.objects.update_or_create(
            account_id=breaker.account_id,
            kind=breaker.kind,
            process=process_name(),
            defaults={"opened_at": breaker.opened_on, "seen_at": timezone.now(), "error": breaker.error},
        )
    except (DatabaseError, InterfaceError) as exc:  # also of an account that was deleted meanwhile
        log.warning("breaker_not_told", error=type(exc).__name__)


def tell_again(breakers: Iterable[Told]) -> None:
    """Say of all open breakers of this process that they still are."""
    for breaker in breakers:
        tell(breaker)


def process_name() -> str:
    """Return what tells this process from all others."""
    return f"{socket.gethostname()[:64]}/{os.getpid()}"
