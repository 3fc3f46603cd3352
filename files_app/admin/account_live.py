"""What somebody watches while it happens: a connection test step by step, a sync page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from django.db import connection

from files_app.exceptions import OverloadedError
from files_app.models import ProviderAccount
from files_app.services.accounts.shares import take_place
from files_app.services.operations.connection_test import check_connection
from files_app.services.upstream.sync import SyncReport, sync_account
from providers.base import CheckStep
from providers.exceptions import ProviderConfigurationError, ProviderError


def in_place(
    account: ProviderAccount, lines: Iterable[dict[str, Any]], refused: Callable[[str], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the lines while this thread counts among the transfers, or what `refused` makes of a refusal."""
    try:
        place = take_place(account, None)
    except OverloadedError as exc:
        yield refused(exc.message)
        return
    with place:
        yield from lines


def connection_lines(account: ProviderAccount, *, round_trip: bool) -> Iterator[dict[str, Any]]:
    """Run the connection test and yield each step as it ends."""
    return map(_shown_step, check_connection(account, round_trip=round_trip))


def refused_test(detail: str) -> dict[str, Any]:
    """Return the only line of a test that was not begun."""
    return _shown_step(CheckStep("Wait for a free place", False, 0.0, detail))


def refused_sync(detail: str) -> dict[str, Any]:
    """Return the only line of a sync that was not begun."""
    return {"done": True, "ok": False, "detail": detail}


def _shown_step(step: CheckStep) -> dict[str, Any]:
    return {"name": step.name, "ok": step.ok, "seconds": round(step.seconds, 3), "detail": step.detail}


def sync_lines(account: ProviderAccount) -> Iterable[dict[str, Any]]:
    """Run the sync in a thread of its own and yield its progress."""
    lines: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

    def work() -> None:
        try:
            report = sync_account(account, on_progress=lambda report: lines.put(_shown_report(report)))
            lines.put(_finished(report))
        except ProviderError as exc:
            lines.put({"done": True, "ok": False, "detail": exc.message})
        except ProviderConfigurationError as exc:
            lines.put({"done": True, "ok": False, "detail": str(exc)})
        finally:
            lines.put(None)
            connection.close()

    Thread(target=work, daemon=True).start()
    return iter(lines.get, None)


def _shown_report(report: SyncReport) -> dict[str, Any]:
    return {"seen": report.seen, "adopted": report.adopted, "updated": report.updated, "lost": report.lost}


def _finished(report: SyncReport | None) -> dict[str, Any]:
    if report is None:
        return {"done": True, "ok": False, "detail": "Another sync of this account runs now."}
    end = "" if report.is_complete else " The list was longer than one sync reads."
    counts = f"{report.seen:,} files seen, {report.adopted:,} new, {report.updated:,} updated"
    detail = f"{counts}, {report.lost:,} lost.{end}"
    return {"done": True, "ok": True, "detail": detail, **_shown_report(report)}
