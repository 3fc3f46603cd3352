"""The system page: whether every part works, and which limits hold."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest
from django.template.response import TemplateResponse

from files_app.admin.formatting import age, readable
from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.models import ProviderAccount
from files_app.services.accounts.credentials import is_current
from files_app.services.operations import overview
from files_app.services.operations.overview import Health


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, what to do if not well."""

    name: str
    tone: str
    text: str
    advice: str = ""


def system_page(request: HttpRequest) -> TemplateResponse:
    """Show the state of the installation. Staff that is bound to organizations may not see it."""
    if not reach_for(request).sees_all:
        raise PermissionDenied
    health = overview.current_health()
    context = {"checks": _checks(health), "limits": _limits(), "versions": _versions()}
    return page(request, "system.html", "System", context)


def _checks(health: Health) -> list[Check]:
    return [
        _part(health, "database", "Look at DATABASE_URL and whether the server runs."),
        _part(health, "migrations", "Run `manage.py migrate`."),
        _part(health, "broker", "Look at CELERY_BROKER_URL. Requests go on; clean-up waits."),
        _worker(health),
        _disk(),
        _encryption(),
    ]


def _part(health: Health, name: str, advice: str) -> Check:
    failure = health.failures.get(name, "")
    if failure:
        return Check(name.capitalize(), "critical", failure, advice)
    return Check(name.capitalize(), "ok", "works")


def _worker(health: Health) -> Check:
    advice = "Start worker and beat: `manage.py run worker`, `manage.py run beat`. Deletes wait until then."
    if health.worker_seen_at is None:
        return Check("Worker and beat", "warning", "not seen yet", advice)
    if not health.worker_is_alive:
        return Check("Worker and beat", "critical", f"last seen {age(health.worker_seen_at)}", advice)
    return Check("Worker and beat", "ok", f"seen {age(health.worker_seen_at)}")


def _disk() -> Check:
    usage = shutil.disk_usage(settings.DATA_DIR)
    free = 100 * usage.free / usage.total
    text = f"{readable(usage.free)} free of {readable(usage.total)}"
    if free < 5:
        return Check("Disk", "critical", text, "Spooled uploads and local files need room: free some.")
    return Check("Disk", "warning" if free < 15 else "ok", text)


def _encryption() -> Check:
    accounts = ProviderAccount.objects.exclude(credentials="")
    old = sum(not is_current(account) for account in accounts)
    if old:
        return Check(
            "Encryption of credentials",
            "warning",
            f"{old} accounts use an older key",
            "Run `manage.py rotate_encryption_keys`, then drop the older key.",
        )
    return Check("Encryption of credentials", "ok", "all with the current key")


def _limits() -> list[tuple[str, str, str]]:
    return [
        ("Largest file", readable(settings.MAX_FILE_BYTES), "MAX_FILE_BYTES, for new organizations"),
        (
            "Quota",
            readable(settings.ORGANIZATION_QUOTA_BYTES),
            "ORGANIZATION_QUOTA_BYTES, for new organizations",
        ),
        (
            "Number of files",
            f"{settings.ORGANIZATION_MAX_FILES:,}" if settings.ORGANIZATION_MAX_FILES else "no limit",
            "ORGANIZATION_MAX_FILES, for new organizations",
        ),
        ("Largest batch file", readable(settings.BATCH_MAX_FILE_BYTES), "BATCH_MAX_FILE_BYTES"),
        ("Lines of a batch file", f"{settings.BATCH_MAX_LINES:,}", "BATCH_MAX_LINES"),
        ("Longest line", readable(settings.BATCH_MAX_LINE_BYTES), "BATCH_MAX_LINE_BYTES"),
        ("Tokens of an assistants file", f"{settings.ASSISTANTS_MAX_TOKENS:,}", "ASSISTANTS_MAX_TOKENS"),
        ("Sync of accounts", f"every {settings.SYNC_INTERVAL_SECONDS} s", "SYNC_INTERVAL_SECONDS"),
        ("Audit trail kept", _retention(), "AUDIT_RETENTION_DAYS"),
    ]


def _retention() -> str:
    return f"{settings.AUDIT_RETENTION_DAYS} days" if settings.AUDIT_RETENTION_DAYS else "for ever"


def _versions() -> list[tuple[str, str]]:
    broker = settings.CELERY_BROKER_URL.partition(":")[0]
    return [
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
        ("Database", connection.vendor),
        ("Broker", broker),
        ("Web workers", f"{settings.WEB_WORKERS} with {settings.WEB_THREADS} threads each"),
    ]
