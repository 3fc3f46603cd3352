"""How the gateway speaks to its database and its broker: no wait is longer than it has to be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries

from gateway.addresses import database_config


@dataclass(frozen=True)
class TimeLimits:
    """How long one statement may take: PostgreSQL ends it, and the client's side when PostgreSQL is silent.

    lock_seconds: how long one waits for SQLite's only writer.
    """

    statement_seconds: int
    lock_seconds: int

    @property
    def silence_seconds(self) -> float:
        """A running PostgreSQL says in time that it has ended a statement."""
        return self.statement_seconds + 1.5

    @property
    def options(self) -> str:
        """What PostgreSQL is asked for at the start of a session."""
        return (
            f"-c statement_timeout={self.statement_seconds}s -c lock_timeout=5s "
            "-c idle_in_transaction_session_timeout=60s"
        )


#: A client gets its 503 within ten seconds.
REQUESTS = TimeLimits(statement_seconds=8, lock_seconds=8)
#: Workers, beat and commands.
BACKGROUND = TimeLimits(statement_seconds=60, lock_seconds=20)

SQLITE_OPTIONS: dict[str, Any] = {
    # Transactions take the write lock when they begin: one that read first and upgrades later fails at
    # once when another writer was faster, whatever the timeout.
    # FULL, because an answered upload has to survive a power cut.
    "transaction_mode": "IMMEDIATE",
    "timeout": BACKGROUND.lock_seconds,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
        "PRAGMA journal_size_limit=67108864"
    ),
}
POSTGRESQL_OPTIONS: dict[str, Any] = {
    # After `reconnect_timeout` our backend begins anew: psycopg would double its pauses, up to minutes after
    # the server is back.
    "pool": {"min_size": 1, "max_size": 16, "timeout": 5, "reconnect_timeout": 0.5},
    "connect_timeout": 5,
    "options": BACKGROUND.options,
    "silence_seconds": BACKGROUND.silence_seconds,
}


def database(url: str, *, behind_pooler: bool = False) -> dict[str, Any]:
    """Return Django's configuration for the URL; options in its query string win over ours.

    behind_pooler: a pooler between us and PostgreSQL gives each transaction another session.
    """
    config = database_config("DATABASE_URL", url)
    is_postgresql = config["ENGINE"].endswith(".postgresql")
    defaults = dict(POSTGRESQL_OPTIONS if is_postgresql else SQLITE_OPTIONS)
    config["ENGINE"] = "gateway.postgresql" if is_postgresql else "gateway.sqlite3"
    if behind_pooler:
        defaults.pop("options", None)  # poolers refuse them: they would hold for the sessions of others
        config["DISABLE_SERVER_SIDE_CURSORS"] = True
    own = config["OPTIONS"]
    if own.get("pool", False) is True:
        del own["pool"]
    config["OPTIONS"] = {**defaults, **own}
    # A connection is lent for one request, by our pool or a pooler. SQLite's file is slow to open.
    config["CONN_MAX_AGE"] = 0 if is_postgresql else None
    return config


def serve_requests() -> None:
    """Give the statements of this process the limits of requests; before it opens its first connection.

    Limits that DATABASE_URL names stay. A request's thread does nothing else, so that the look at its
    connection when it ends is enough.
    """
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_caches)  # none of ours has anything to close
    request_finished.disconnect(reset_urlconf)  # no request has another than the next one
    if not settings.DEBUG:
        request_started.disconnect(reset_queries)
    config = connections.settings["default"]
    options = config["OPTIONS"]
    if config["ENGINE"] == "gateway.postgresql":
        options["silence_seconds"] = REQUESTS.silence_seconds
        if options.get("options") == BACKGROUND.options:
            options["options"] = REQUESTS.options
        elif "options" not in options:  # behind a pooler
            options |= {"statement_seconds": REQUESTS.statement_seconds, "lock_seconds": 5}
    elif options.get("timeout") == BACKGROUND.lock_seconds:
        options["timeout"] = REQUESTS.lock_seconds


def explained(error: Exception) -> str:
    """Return in one line why the database could not be used, and what to do."""
    from files_app.services.index.transactions import DAMAGED_FIX, is_damaged

    reason = str(error).strip().partition("\n")[0]
    if is_damaged(error):
        return f"the database's file is damaged: {reason}. {DAMAGED_FIX}"
    if "unsupported startup parameter" in reason:
        reason += ". Behind a connection pooler set DATABASE_BEHIND_POOLER=true"
    return f"the database that DATABASE_URL names: {reason}."


def broker_transport_options(url: str, data_dir: Path) -> dict[str, Any]:
    """Return what the broker's transport needs so that nothing waits for it much longer than a second."""
    if url.startswith("filesystem:"):
        queue, control = data_dir / "broker" / "queue", data_dir / "broker" / "control"
        for folder in queue, control:
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "data_folder_in": str(queue),  # the same as out, or a worker would read what nobody writes
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.1,
        }
    once_more = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    if url.startswith(("redis", "valkey", "unix")):
        return {
            **once_more,
            "visibility_timeout": 900,  # far longer than a task takes, which only hands over
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,  # at kombu's default a dead worker's task waits for 100 s
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 25,
        }
    return {**once_more, "connect_timeout": 1, "read_timeout": 1, "write_timeout": 1}
