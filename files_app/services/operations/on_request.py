"""Connection tests and syncs that somebody asked for: how each ended is in the audit trail.

Syncs in their turn are not written there: they would fill it. Their failures are on the account, in the log
and in the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from files_app.models import AuditAction, ProviderAccount
from files_app.services.index import audit, writability
from files_app.services.index.callers import Caller
from files_app.services.operations.connection_test import check_connection
from files_app.services.upstream.sync import SyncReport, sync_account
from providers.base import CheckStep
from providers.exceptions import ProviderConfigurationError, ProviderError

OK, FAILED = "ok", "failed"
#: Nobody waited for the end, or the process was told to stop.
INTERRUPTED = "interrupted"
#: It was not begun: too many transfers ran.
REFUSED = "refused"
#: It was not begun: another sync of the account ran, or the account is disabled.
SKIPPED = "skipped"

_LONGEST_ERROR = 200
Say = Callable[[SyncReport], None]


def check_for(
    account: ProviderAccount, *, caller: Caller, upload: bool = False, round_trip: bool = False
) -> Generator[CheckStep]:
    """Yield each step of a connection test as it ends, and write down how far it came. Close it when done."""
    result = INTERRUPTED
    details: dict[str, Any] = {"steps": 0, "upload": upload or round_trip}
    try:
        with closing(check_connection(account, upload=upload, round_trip=round_trip)) as steps:
            for step in steps:
                details["steps"] += 1
                if not step.ok and "failed_step" not in details:
                    details |= {"failed_step": step.name, "error": step.detail[:_LONGEST_ERROR]}
                yield step
        result = FAILED if "failed_step" in details else OK
    finally:
        note(account, caller, AuditAction.ACCOUNT_TEST, result, **details)


def sync_for(
    account: ProviderAccount, *, caller: Caller, on_progress: Say = lambda report: None
) -> SyncReport | None:
    """Sync an account and write down what came of it; None while another sync of it runs.

    on_progress: as of `sync_account`. Raises ProviderError and ProviderConfigurationError.
    """
    result: str = INTERRUPTED
    details: dict[str, Any] = {}
    try:
        report = sync_account(account, on_progress=on_progress)
        if report is None:
            result, details = SKIPPED, {"reason": "another sync of this account ran"}
        elif not account.is_enabled:
            result, details = SKIPPED, {"reason": "the account is disabled"}
        else:
            result, details = OK, counts(report)
        return report
    except (ProviderError, ProviderConfigurationError) as exc:
        result, details = FAILED, {"error": str(exc)[:_LONGEST_ERROR]}
        raise
    finally:
        note(account, caller, AuditAction.ACCOUNT_SYNC, result, **details)


def counts(report: SyncReport) -> dict[str, int | bool]:
    """Return what a sync did, as names and numbers."""
    names = ("seen", "adopted", "updated", "lost", "is_complete")
    return {name: getattr(report, name) for name in names}


def note(account: ProviderAccount, caller: Caller, action: AuditAction, result: str, **details: Any) -> None:
    """Append how it ended. What was tried has happened: a full disk of the database does not undo it."""
    with writability.worth_no_failure("attempt_not_audited", account=account.name, result=result):
        audit.record(
            caller,
            action,
            object_type="account",
            object_id=account.name,
            account_name=account.name,
            result=result,
            **details,
        )
