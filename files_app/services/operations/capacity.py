"""Whether the settings fit this host and the database. `docs/operations/scaling.md` has the figures."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.utils import timezone

from files_app.models import Heartbeat, ProviderAccount
from files_app.services.accounts.shares import threads
from files_app.services.operations import heartbeats, host
from files_app.services.operations.findings import Finding, ok, warning
from files_app.services.operations.host import Host
from files_app.streams.spool import needs_spool
from files_app.words import short_bytes
from providers.registry import DRIVERS, driver_class

_MIB = 2**20
#: What a process takes before its first request, and what it may take for each client and each transfer.
WEB_PROCESS_BYTES, WORKER_BYTES = 100 * _MIB, 100 * _MIB
CONNECTION_BYTES = 60 * 1024
TRANSFER_BYTES, STORE_TRANSFER_BYTES = 4 * _MIB, 32 * _MIB  # a store's part of 8 MiB is held until it is sent
#: Libraries, logs, metrics, the broker and a few connections to providers that wait to be used again.
_OTHER_FILES = 128
#: Beside those that serve, threads for probes, heartbeats and upkeep ask the database.
_OTHER_CONNECTIONS = 8
#: So many times as many processes as cores get into each other's way; so many times fewer waste the host.
_TOO_MANY, _TOO_FEW = 2, 4


@dataclass(frozen=True, slots=True)
class Load:
    """What the settings let happen at once. Transfers and threads are those of one web process.

    store_transfers: those of `transfers` that may go to or come from S3 and GCS
    has_web, has_worker: which of them run on this host; both until it is known
    """

    web_processes: int
    connections: int
    transfers: int
    store_transfers: int
    has_web: bool = True
    has_worker: bool = True

    @property
    def memory_bytes(self) -> int:
        transfers = self.transfers * TRANSFER_BYTES
        transfers += self.store_transfers * (STORE_TRANSFER_BYTES - TRANSFER_BYTES)
        one = WEB_PROCESS_BYTES + self.connections * CONNECTION_BYTES + transfers
        return self.has_web * self.web_processes * one + self.has_worker * WORKER_BYTES

    @property
    def open_files(self) -> int:
        """Files of one web process: its clients, and a provider and a spool for each transfer."""
        return self.connections + 2 * self.transfers + _OTHER_FILES


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions that PostgreSQL allows the gateway, and how many each kind of process opens at most."""

    allowed: int
    web_hosts: int
    web: int  # of all web processes of a host
    workers: int
    worker: int

    @property
    def wanted(self) -> int:
        return self.web_hosts * self.web + self.workers * self.worker


def capacity() -> Iterator[Finding]:
    """Compare the settings that this process has with its host and the database."""
    here, accounts = host.look(), _accounts()
    load = _load(accounts)
    found = [*fits_host(load, here), *_fits_database(), *_fits_disks(accounts)]
    yield from found
    if not found:
        yield ok("capacity", f"the settings fit {here.cores:g} cores, the memory and the database")


# -- this host -----------------------------------------------------------------------------------------


def fits_host(load: Load, here: Host) -> Iterator[Finding]:
    """Warn of what is too much for the host, or far too little to use it."""
    if load.has_web:
        yield from _cores(load.web_processes, here)
        if here.open_files is not None and here.open_files < load.open_files:
            yield warning(
                "capacity",
                f"a process may have {here.open_files:,} open files, and a web process may need "
                f"{load.open_files:,}: new clients are refused then",
                f"Let it have {load.open_files:,} or more: LimitNOFILE of the systemd unit, `ulimit -Hn`, "
                "or the container's nofile.",
            )
    if here.memory_bytes is not None and here.memory_bytes < load.memory_bytes:
        yield warning(
            "capacity",
            f"{short_bytes(here.memory_bytes)} of memory are there, and the configured processes may take "
            f"{short_bytes(load.memory_bytes)} when all their threads transfer: the system would kill one",
            "Give this host or container more memory, or lower WEB_THREADS, TRANSFERS_SHARE or WEB_WORKERS.",
        )


def _cores(processes: int, here: Host) -> Iterator[Finding]:
    cores = f"{here.cores:g} {'core' if here.cores == 1 else 'cores'}"
    fitting = max(1, round(here.cores))
    if processes > max(2.0, _TOO_MANY * here.cores):
        yield warning(
            "capacity",
            f"WEB_WORKERS is {processes}, and there are {cores}: more processes take memory and database "
            "connections, and serve no more",
            f"Set WEB_WORKERS to {fitting}; WEB_THREADS is what lets more requests wait at once.",
        )
    elif processes * _TOO_FEW < here.cores and not here.is_part:
        yield warning(
            "capacity",
            f"WEB_WORKERS is {processes}, and there are {cores}: a process uses little more than one",
            f"Set WEB_WORKERS to {fitting}, or limit the cores of this service if they are for others.",
        )


# -- the database --------------------------------------------------------------------------------------


def fits_database(sessions: Sessions) -> Iterator[Finding]:
    """Warn where the processes may open more sessions than they get."""
    if sessions.wanted > sessions.allowed:
        yield warning(
            "capacity",
            f"PostgreSQL has room for {sessions.allowed} connections of the gateway's, and "
            f"{sessions.web_hosts} x {sessions.web} of web servers and {sessions.workers} x "
            f"{sessions.worker} of workers may be opened: what comes last is 503",
            f"Set max_connections (or the limit of the role or database) to allow {sessions.wanted} and what "
            "else uses the server, lower WEB_WORKERS, or put a pooler between (DATABASE_BEHIND_POOLER).",
        )


#: Three limits: of the server, less what it keeps for superusers and others; of the role; of the database.
_LIMITS = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0),
       role.rolconnlimit, base.datconnlimit
FROM pg_roles AS role, pg_database AS base
WHERE role.rolname = current_user AND base.datname = current_database()
"""


def allowed_sessions() -> int | None:
    """Ask PostgreSQL; None for SQLite, and behind a pooler, which decides itself how many it opens."""
    if connection.vendor != "postgresql" or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        limits: tuple[int, ...] = cursor.fetchone()
    return min(limit for limit in limits if limit >= 0)  # -1: the role or database has none


def _fits_database() -> Iterator[Finding]:
    """Take every host that was seen for one like this."""
    allowed = allowed_sessions()
    if allowed is None:
        return
    running = _running()
    pool = connection.settings_dict["OPTIONS"].get("pool")
    yield from fits_database(
        Sessions(
            allowed=allowed,
            web_hosts=max(1, _count(running, heartbeats.WEB)),
            web=settings.WEB_WORKERS * _most_sessions(pool, settings.WEB_THREADS),
            workers=max(1, _count(running, heartbeats.WORKER)),
            worker=_most_sessions(pool, settings.WORKER_CONCURRENCY),
        )
    )


def _most_sessions(pool: Any, threads: int) -> int:
    """Return how many one process opens: as many as its pool holds, or one for each thread."""
    most: int = pool["max_size"] if pool else threads + _OTHER_CONNECTIONS
    return most


def _running() -> list[str]:
    """Return the names of the web servers and workers that were seen lately, on any host."""
    since = timezone.now() - heartbeats.SILENT_AFTER
    return list(Heartbeat.objects.filter(seen_at__gt=since).values_list("name", flat=True))


def _count(running: list[str], kind: str) -> int:
    return sum(name.partition("@")[0] == kind for name in running)


# -- disks ---------------------------------------------------------------------------------------------


def fits_disk(name: str, free_bytes: int, uploads: int, why: str) -> Iterator[Finding]:
    """Warn where the uploads of one key can fill a disk. Less than one file's room is said elsewhere."""
    wanted = uploads * settings.MAX_FILE_BYTES
    if settings.MAX_FILE_BYTES <= free_bytes < wanted:
        yield warning(
            "capacity",
            f"{name} has {short_bytes(free_bytes)} free, and {why}: the {uploads} uploads that one key may "
            f"run at once take up to {short_bytes(wanted)}",
            f"Give {name} more room, or lower UPLOADS_AT_ONCE or MAX_FILE_BYTES; "
            "what finds no room is refused, and nothing is lost.",
        )


def _fits_disks(accounts: Mapping[str, int]) -> Iterator[Finding]:
    uploads = settings.WEB_WORKERS * min(threads(settings.KEY_SHARE), threads(settings.TRANSFERS_SHARE))
    uploads = min(uploads, settings.UPLOADS_AT_ONCE or uploads)
    known = [driver_class(name).capabilities for name in accounts]
    if any(map(needs_spool, known)):
        why = "accounts are enabled whose providers want a file whole"
        yield from fits_disk("SPOOL_DIR", _free(settings.SPOOL_DIR), uploads, why)
    if any(capabilities.storage == "disk" for capabilities in known):
        why = "accounts are enabled that keep their files there"
        yield from fits_disk("DATA_DIR", _free(settings.DATA_DIR), uploads, why)


def _free(directory: str | Path) -> int:
    return shutil.disk_usage(directory).free


# -- what is configured --------------------------------------------------------------------------------


def _accounts() -> dict[str, int]:
    """Return the drivers of all enabled accounts, and how many accounts each has."""
    rows = ProviderAccount.objects.filter(is_enabled=True, driver__in=list(DRIVERS)).order_by()
    return dict(rows.values_list("driver").annotate(number=Count("pk")))


def _load(accounts: Mapping[str, int]) -> Load:
    transfers = threads(settings.TRANSFERS_SHARE)
    stores = sum(
        number
        for name, number in accounts.items()
        if driver_class(name).capabilities.storage in {"s3", "gcs"}
    )
    own = f"@{socket.gethostname()[:64]}"
    here = {name.removesuffix(own) for name in _running() if name.endswith(own)}
    return Load(
        web_processes=settings.WEB_WORKERS,
        connections=settings.CONNECTIONS_PER_WORKER,
        transfers=transfers,
        store_transfers=min(transfers, stores * threads(settings.ACCOUNT_SHARE)),
        has_web=not here or heartbeats.WEB in here,
        has_worker=not here or heartbeats.WORKER in here,
    )
