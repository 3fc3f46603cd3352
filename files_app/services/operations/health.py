"""Checks behind `/readyz`, each bounded: a database or broker that hangs fails within a second."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import iter_modules

from celery import current_app
from django.apps import apps
from django.db import connection

from files_app.services.operations import heartbeats
from files_app.words import age

CHECK_TIMEOUT_SECONDS = 1.0

#: Set when this process was asked to stop: it still serves, and wants no more requests.
stopping = threading.Event()


class BoundedCheck:
    """Runs a check in a thread of its own, so that the caller can stop waiting for it.

    A check that hangs keeps its thread until its own time-out; further calls wait for that one thread.

    reason: what the last failure said, for operators alone; it may name hosts and users.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure = ""
        self.reason = ""

    def start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, daemon=True)
                thread.start()
                self._thread = thread  # last: others join what they see here, which has to run by then

    def failure(self, timeout_seconds: float) -> str:
        """Return why the check that was started fails; empty when it passes."""
        thread = self._thread
        if thread is None:
            raise RuntimeError("start() comes first")
        thread.join(max(timeout_seconds, 0))
        return f"no answer within {CHECK_TIMEOUT_SECONDS:g} s" if thread.is_alive() else self._failure

    def _run(self) -> None:
        try:
            self._check()
        except Exception as error:  # any error at all means "not ready"
            self._failure = type(error).__name__
            self.reason = str(error).strip().partition("\n")[0]
        else:
            self._failure = self.reason = ""
        finally:
            connection.close()


def check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_broker() -> None:
    """Open a connection as a publisher does, without its retries."""
    with current_app.connection_for_write() as broker:
        broker.connect()
        with broker.channel():
            pass


class MigrationsError(Exception):
    """The database lacks migrations that this code has."""

    def __init__(self, missing: int, *, is_empty: bool) -> None:
        super().__init__(
            "the database is empty: no gateway was started on it yet"
            if is_empty
            else f"the database lacks {missing} migrations of this version"
        )


class MigrationCheck:
    """Compares the database with the migrations once; what has been applied stays applied."""

    def __init__(self) -> None:
        self._passed = False

    def __call__(self) -> None:
        if self._passed:
            return
        applied = _applied_migrations()
        if missing := _migrations() - applied:
            raise MigrationsError(len(missing), is_empty=not applied)
        self._passed = True


def _applied_migrations() -> set[tuple[str, str]]:
    """Return application and name of each; without Django's executor, which imports all of them for that."""
    with connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return set()
        cursor.execute("SELECT app, name FROM django_migrations")
        return {(app, name) for app, name in cursor.fetchall()}


def _migrations() -> set[tuple[str, str]]:
    """Return application and name of each migration of this code."""
    packages = {app.label: find_spec(f"{app.name}.migrations") for app in apps.get_app_configs()}
    return {
        (label, module.name)
        for label, package in packages.items()
        if package
        for module in iter_modules(package.submodule_search_locations)
        if module.name[0] not in "_~"
    }


class BackgroundCheck:
    """Looks when a worker was last there. Web serves without one, so this is told and fails nothing."""

    def __init__(self) -> None:
        self.found = ""

    def __call__(self) -> None:
        seen_at = heartbeats.last_seen()
        if heartbeats.is_alive(seen_at):
            self.found = "ok"
        else:
            self.found = f"worker last seen {age(seen_at)}" if seen_at else "worker not seen yet"


_background = BackgroundCheck()
_BACKGROUND = BoundedCheck(_background)
CHECKS = {
    "database": BoundedCheck(check_database),
    "broker": BoundedCheck(check_broker),
    "migrations": BoundedCheck(MigrationCheck()),
}


def reason(name: str) -> str:
    """Return what this check said when it failed last, for operators alone; empty if it passed."""
    return CHECKS[name].reason


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the checks found. background: `ok`, or in words why deletes, expiry and syncs may be waiting."""

    failures: dict[str, str]
    background: str


def look() -> Readiness:
    """Run all checks side by side. A process that stops does not ask them."""
    if stopping.is_set():
        return Readiness({"process": "stopping"}, "unknown")
    deadline = time.monotonic() + CHECK_TIMEOUT_SECONDS
    for check in (*CHECKS.values(), _BACKGROUND):
        check.start()
    reasons = {name: check.failure(deadline - time.monotonic()) for name, check in CHECKS.items()}
    is_known = not _BACKGROUND.failure(deadline - time.monotonic())
    return Readiness(
        {name: reason for name, reason in reasons.items() if reason},
        _background.found if is_known else "unknown",
    )


def failures() -> dict[str, str]:
    """Return by name why some checks fail: requests cannot be served."""
    return look().failures
