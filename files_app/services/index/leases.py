"""Leases: rows that say until when their holder counts as alive, renewed by one thread of its process.

A lease is short, so that others know soon that its holder has died; work may be long. So a thread renews,
every quarter of LEASE_SECONDS, all leases that this process has held for longer than that, one statement a
table. Work that is over sooner costs none.

A thread may also stand still in a process that lives. So each lease says how long it is renewed without a
sign of progress; then it runs out, and who finds it takes the work over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Model
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from files_app.models import File, FileCopy, FileJob, ProviderAccount
from files_app.services.index.transactions import database_time

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseKind:
    """A table whose rows are leased. `token`, `expires_at`: names of its columns."""

    model: type[Model]
    token: str = "lease_token"  # noqa: S105 - a column
    expires_at: str = "lease_expires_at"


UPLOAD = LeaseKind(File)
DELETE = LeaseKind(FileCopy)
JOB = LeaseKind(FileJob)
SYNC = LeaseKind(ProviderAccount, "sync_token", "sync_lease_expires_at")


def lease_end(duration: Combinable | None = None) -> Combinable:
    """Return until when a lease is good that is taken or renewed now, in the database's time.

    duration: None for LEASE_SECONDS.
    """
    return database_time(plus_seconds=settings.LEASE_SECONDS) if duration is None else Now() + duration


@dataclass(slots=True, eq=False)
class Lease:
    """A row that this process works on. Renewed until `patience_seconds` have passed since `progressed`."""

    kind: LeaseKind
    pk: int
    token: str
    patience_seconds: float
    _renewed_at: float = field(default_factory=time.monotonic)
    _progressed_at: float = field(default_factory=time.monotonic)

    def progressed(self) -> None:
        """Say that the work goes on. Costs no statement."""
        self._progressed_at = time.monotonic()

    def renewed(self, at: float) -> None:
        """Note that the row was renewed at `at`, in time.monotonic()."""
        self._renewed_at = at

    def is_due(self, now: float) -> bool:
        """Whether it has to be renewed, and may be."""
        is_moving = now - self._progressed_at < self.patience_seconds
        return is_moving and now - self._renewed_at >= settings.LEASE_SECONDS / 4


class Keeper:
    """Renews what this process holds. Its thread begins with the first lease."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Lease] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Lease]:
        """Renew the lease, which has just been taken, until the end of the block."""
        with self._lock:
            self._held.add(lease)
            self._begin()
        try:
            yield lease
        finally:
            with self._lock:
                self._held.discard(lease)

    def renew_due(self) -> None:
        """Renew what is due. One that somebody else has taken over is left to him: its token differs."""
        now = time.monotonic()
        with self._lock:
            due = [lease for lease in self._held if lease.is_due(now)]
        for kind in {lease.kind for lease in due}:
            leases = [lease for lease in due if lease.kind is kind]
            pks, tokens = [lease.pk for lease in leases], [lease.token for lease in leases]
            mine = kind.model._default_manager.filter(pk__in=pks, **{f"{kind.token}__in": tokens})
            mine.update(**{kind.expires_at: lease_end()})
            for lease in leases:
                lease.renewed(now)

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # none lives on in a process that was forked
            pause = settings.LEASE_SECONDS / 8
            self._thread = threading.Thread(target=self._run, args=(pause,), name="leases", daemon=True)
            self._thread.start()

    def _run(self, pause_seconds: float) -> None:
        while True:
            time.sleep(pause_seconds)
            try:
                self.renew_due()
            except (OperationalError, InterfaceError) as error:  # a database that is away may be back in time
                log.warning("leases_not_renewed", error=type(error).__name__)
            except Exception:  # whatever it was, the leases are needed
                log.exception("leases_not_renewed")
            finally:
                with suppress(OperationalError, InterfaceError):
                    connection.close()


keeper = Keeper()


def holding(
    kind: LeaseKind, pk: int, token: str, *, patience_seconds: float
) -> AbstractContextManager[Lease]:
    """Renew the lease on a row, which this process has just taken, until the end of the block."""
    return keeper.holding(Lease(kind, pk, token, patience_seconds))
