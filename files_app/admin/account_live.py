"""What somebody watches while it happens: a connection test step by step, a sync page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Thread
from typing import Any

from django.db import connection

from files_app.exceptions import OverloadedError
from files_app.models import AuditAction, ProviderAccount
from files_app.services.accounts.shares import take_place
from files_app.services.index.callers import Caller
from files_app.services.operations import on_request
from files_app.services.upstream.sync import SyncReport
from providers.base import CheckStep
from providers.exceptions import ProviderConfigurationError, ProviderError

Line = dict[str, Any]


def run_test(account: ProviderAccount, caller: Caller, *, round_trip: bool) -> Iterator[Line]:
    """Run the connection test and yield each step as it ends."""
    lines = _steps(account, caller, round_trip=round_trip)
    return _in_place(account, caller, AuditAction.ACCOUNT_TEST, lines, _refused_test)


def run_sync(account: ProviderAccount, caller: Caller) -> Iterator[Line]:
    """Run the sync in a thread of its own and yield its progress."""
    return _in_place(
        account,
        caller,
        AuditAction.ACCOUNT_SYNC,
        _progress(account, caller),
        lambda detail: _end(False, detail),
    )


def _in_place(
    account: ProviderAccount,
    caller: Caller,
    action: AuditAction,
    lines: Iterable[Line],
    refused: Callable[[str], Line],
) -> Iterator[Line]:
    """Yield the lines while this thread counts among the transfers, or what `refused` makes of a refusal."""
    try:
        place = take_place(account, None)
    except OverloadedError as exc:
        on_request.note(account, caller, action, on_request.REFUSED, error=exc.message)
        yield refused(exc.message)
        return
    with place:
        yield from lines


def _steps(account: ProviderAccount, caller: Caller, *, round_trip: bool) -> Iterator[Line]:
    with closing(on_request.check_for(account, caller=caller, round_trip=round_trip)) as steps:
        for step in steps:
            yield _shown_step(step)


def _refused_test(detail: str) -> Line:
    return _shown_step(CheckStep("Wait for a free place", False, 0.0, detail))


def _shown_step(step: CheckStep) -> Line:
    return {"name": step.name, "ok": step.ok, "seconds": round(step.seconds, 3), "detail": step.detail}


def _progress(account: ProviderAccount, caller: Caller) -> Iterator[Line]:
    lines: SimpleQueue[Line | None] = SimpleQueue()

    def work() -> None:
        try:
            report = on_request.sync_for(
                account, caller=caller, on_progress=lambda report: lines.put(_shown_report(report))
            )
            lines.put(_finished(report))
        except ProviderError as exc:
            lines.put(_end(False, exc.message))
        except ProviderConfigurationError as exc:
            lines.put(_end(False, str(exc)))
        finally:
            lines.put(None)
            connection.close()

    Thread(target=work, daemon=True).start()
    yield from iter(lines.get, None)


def _end(ok: bool, detail: str) -> Line:
    return {"done": True, "ok": ok, "detail": detail}


def _shown_report(report: SyncReport) -> Line:
    return {"seen": report.seen, "adopted": report.adopted, "updated": report.updated, "lost": report.lost}


def _finished(report: SyncReport | None) -> Line:
    if report is None:
        return _end(False, "Another sync of this account runs now.")
    end = "" if report.is_complete else " The list was longer than one sync reads."
    counts = f"{report.seen:,} files seen, {report.adopted:,} new, {report.updated:,} updated"
    return _end(True, f"{counts}, {report.lost:,} lost.{end}") | _shown_report(report)
