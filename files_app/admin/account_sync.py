"""A sync that is watched: its numbers after each page of the provider's list."""

from __future__ import annotations

from collections.abc import Iterable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from django.db import connection

from files_app.models import ProviderAccount
from files_app.services.upstream.sync import SyncReport, sync_account
from providers.exceptions import ProviderConfigurationError, ProviderError


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
