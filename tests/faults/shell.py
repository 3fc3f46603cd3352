"""The operator's side of a running gateway: a process beside it, on the same data, that takes orders.

    python -m tests.faults.shell        # one JSON object a line in, one a line out

A management command for each order would cost a second of start-up each.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.db.models import Count, F, Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from files_app.models import (  # noqa: E402
    AuditEvent,
    CopyState,
    DueTime,
    File,
    FileCopy,
    Organization,
    ProviderAccount,
)
from files_app.services.accounts.saving import save_account  # noqa: E402
from files_app.services.deletes import delivery, expiry  # noqa: E402
from files_app.services.index import usage  # noqa: E402
from files_app.services.index.callers import system_caller  # noqa: E402
from files_app.services.operations import cleanup  # noqa: E402
from files_app.services.tenants.keys import create_key  # noqa: E402
from files_app.services.upstream import lost_answers, sync  # noqa: E402
from tests.faults import lifecycle, telling  # noqa: E402
from tests.faults.recovery import deliver_deletes, let_time_pass, recover  # noqa: E402

_held: list[Any] = []

#: A closed port: whoever asks there is told so at once.
NOWHERE = "http://127.0.0.1:9/v1"


def tenant(name: str, accounts: list[dict[str, Any]], limits: dict[str, int]) -> dict[str, Any]:
    """Create an organization with a key and accounts; an account with `is_shared` belongs to everybody."""
    organization = Organization.objects.create(name=name, **limits)
    _, key = create_key(organization=organization, name="main", caller=system_caller(organization.pk))
    for account in accounts:
        credentials = account.pop("credentials", {})
        owner = None if account.pop("is_shared", False) else organization
        fields = {"list_freshness_seconds": None, **account}
        save_account(ProviderAccount(organization=owner, **fields), credentials)
    return {"organization": organization.pk, "key": key}


def key(organization: int) -> str:
    """Create another key of an organization."""
    owner = Organization.objects.get(pk=organization)
    return create_key(organization=owner, name="second", caller=system_caller(organization))[1]


def retire_accounts() -> None:
    """Switch off all accounts so far and move them away: what they left undone is not to meet a new one."""
    for account in ProviderAccount.objects.filter(is_enabled=True):
        options = {key: NOWHERE if key == "base_url" else value for key, value in account.options.items()}
        ProviderAccount.objects.filter(pk=account.pk).update(
            is_enabled=False, is_default=False, options=options
        )
        account.places.update(authority=f"retired-{account.pk}")
        FileCopy.objects.filter(account=account).update(next_attempt_at=None)


def shorten_leases(seconds: int) -> None:
    """Let the leases of uploads end so many seconds from now."""
    until = timezone.now() + timedelta(seconds=seconds)
    File.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=until)


def sweep_uploads() -> int:
    return cleanup.sweep_uploads()


def search_all() -> int:
    """Search now for every upload whose answer was lost."""
    FileCopy.objects.filter(state=CopyState.UNCONFIRMED).update(next_attempt_at=timezone.now())
    return lost_answers.search_unconfirmed()


def sweep_stores() -> int:
    return cleanup.sweep_stores()


def expire_files() -> int:
    return expiry.expire_files()


def deliver(copy: int) -> str | None:
    """Deliver one delete, as a task does whose message came twice or late."""
    state = delivery.deliver(copy)
    return state and str(state)


def sync_account(name: str) -> dict[str, Any]:
    report = sync.sync_account(ProviderAccount.objects.get(name=name))
    return {"adopted": report.adopted, "lost": report.lost} if report else {}


def recount(dry_run: bool = True) -> list[dict[str, Any]]:
    """Return the organizations whose counters differ from their rows."""
    return [
        {"organization": drift.organization, "counted": drift.counted, "actual": drift.actual}
        for drift in usage.recount_all(dry_run=dry_run)
    ]


def states(organization: int) -> dict[str, dict[str, int]]:
    """Return how many files and copies of an organization are in which state."""
    files = File.objects.for_organization(organization)
    copies = FileCopy.objects.filter(file__organization=organization)
    return {
        "files": dict(files.values_list("state").annotate(Count("pk"))),
        "copies": dict(copies.values_list("state").annotate(Count("pk"))),
    }


def judged(organization: int) -> int:
    """Return how many running uploads have passed their checks: their providers may have the whole file."""
    running = File.objects.for_organization(organization).filter(state="uploading")
    return running.exclude(filename="").count()


def copies(organization: int) -> list[dict[str, Any]]:
    rows = FileCopy.objects.filter(file__organization=organization).order_by("pk")
    return list(map(dict, rows.values("pk", "state", "attempts", "last_error", "remote_id", "file__file_id")))


def balance(organization: int) -> dict[str, int]:
    """Return counters and rows as one snapshot shows them; `excess` above 0 would be over the quota."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = Organization.objects.get(pk=organization)
        actual = usage.actual_usage(row)
    return {
        "used_drift": row.used_bytes - actual["used_bytes"],
        "reserved_drift": row.reserved_bytes - actual["reserved_bytes"],
        "count_drift": row.file_count - actual["file_count"],
        "excess": row.used_bytes + row.reserved_bytes - row.quota_bytes,
    }


def lock_database() -> None:
    """Keep every writer waiting, until `unlock_database`."""
    if connection.vendor == "sqlite":
        held = sqlite3.connect(str(connection.settings_dict["NAME"]), isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        _held.append(held)
    else:
        transaction.set_autocommit(False)
        connection.cursor().execute("LOCK TABLE files_app_organization, files_app_file IN EXCLUSIVE MODE")
        _held.append(connection)


def unlock_database() -> None:
    held = _held.pop()
    held.rollback()
    if held is connection:
        transaction.set_autocommit(True)
    else:
        held.close()


def spoil_credentials(account: str) -> None:
    """Make an account's credentials undecryptable, as a lost key does."""
    ProviderAccount.objects.filter(name=account).update(credentials="gAAAAA-not-a-token")


def rename_driver(account: str, driver: str) -> None:
    """Leave an account with a driver that does not exist (any more)."""
    ProviderAccount.objects.filter(name=account).update(driver=driver)


def age_deletes(hours: int) -> None:
    """Let deletes have been failing for so long."""
    began = timezone.now() - timedelta(hours=hours)
    FileCopy.objects.filter(state=CopyState.DELETING).update(first_attempt_at=began)


def begin_upkeep(name: str) -> None:
    """Let a kind of periodic work be due now, and forget that it was ever done."""
    DueTime.objects.filter(name=name).update(due_at=timezone.now(), done_at=None)


def is_upkeep_done(name: str) -> bool:
    return DueTime.objects.filter(name=name, done_at__isnull=False).exists()


def delay_deletes(minutes: int) -> None:
    """Let what is due have been due for so long."""
    FileCopy.objects.due().update(next_attempt_at=timezone.now() - timedelta(minutes=minutes))


def expire_file(file_id: str) -> None:
    """Let a file's time be over."""
    File.objects.filter(file_id=file_id).update(expires_at=timezone.now() - timedelta(seconds=1))


def shift_counters(organization: int, amount: int) -> None:
    """Make the counters wrong, as a manual change in the database may."""
    Organization.objects.filter(pk=organization).update(used_bytes=F("used_bytes") + amount)


def total_bytes(organization: int) -> int:
    live = File.objects.for_organization(organization).live()
    return int(live.aggregate(total=Sum("bytes"))["total"] or 0)


def database_text() -> str:
    """Return all that the database holds, as one text."""
    names = connection.introspection.table_names()
    with connection.cursor() as cursor:
        pieces: list[str] = []
        for name in names:
            cursor.execute(f'SELECT * FROM "{name}"')  # noqa: S608  # names from the database itself
            pieces.extend(str(row) for row in cursor.fetchall())
    return "\n".join(pieces)


def audit_results(organization: int) -> dict[str, int]:
    events = AuditEvent.objects.filter(organization=organization)
    return {
        f"{action} {result}": count
        for action, result, count in events.values_list("action", "result").annotate(Count("pk"))
    }


ORDERS: dict[str, Callable[..., Any]] = (
    lifecycle.ORDERS
    | telling.ORDERS
    | {
        order.__name__: order
        for order in (
            tenant,
            key,
            retire_accounts,
            let_time_pass,
            shorten_leases,
            sweep_uploads,
            search_all,
            sweep_stores,
            expire_files,
            deliver_deletes,
            recover,
            deliver,
            sync_account,
            recount,
            states,
            judged,
            copies,
            balance,
            lock_database,
            unlock_database,
            spoil_credentials,
            rename_driver,
            age_deletes,
            begin_upkeep,
            is_upkeep_done,
            delay_deletes,
            expire_file,
            shift_counters,
            total_bytes,
            database_text,
            audit_results,
        )
    }
)


def main() -> None:
    # Logs go to standard output too: answers have a pipe of their own.
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer = {"result": ORDERS[order.pop("order")](**order)}
            except Exception:  # whatever went wrong, the test gets to see it
                answer = {"error": traceback.format_exc()}
            answers.write(json.dumps(answer, default=str) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
