"""The system page: whether every part works, and which limits hold."""

from __future__ import annotations

import platform

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest
from django.template.response import TemplateResponse

from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.services.operations import doctor
from files_app.services.operations.findings import Level
from files_app.words import short_bytes

#: level of a finding -> tone of its badge
TONES = {Level.OK: "ok", Level.WARNING: "warning", Level.PROBLEM: "critical"}


def system_page(request: HttpRequest) -> TemplateResponse:
    """Show the state of the installation. Staff that is bound to organizations may not see it."""
    if not reach_for(request).sees_all:
        raise PermissionDenied
    findings = [(finding, TONES[finding.level]) for finding in doctor.glance()]
    context = {"findings": findings, "limits": _limits(), "versions": _versions()}
    return page(request, "system.html", "System", context)


def _limits() -> list[tuple[str, str, str]]:
    return [
        ("Largest file", short_bytes(settings.MAX_FILE_BYTES), "MAX_FILE_BYTES, for new organizations"),
        (
            "Quota",
            short_bytes(settings.ORGANIZATION_QUOTA_BYTES),
            "ORGANIZATION_QUOTA_BYTES, for new organizations",
        ),
        (
            "Number of files",
            f"{settings.ORGANIZATION_MAX_FILES:,}" if settings.ORGANIZATION_MAX_FILES else "no limit",
            "ORGANIZATION_MAX_FILES, for new organizations",
        ),
        ("Largest batch file", short_bytes(settings.BATCH_MAX_FILE_BYTES), "BATCH_MAX_FILE_BYTES"),
        ("Lines of a batch file", f"{settings.BATCH_MAX_LINES:,}", "BATCH_MAX_LINES"),
        ("Longest line", short_bytes(settings.BATCH_MAX_LINE_BYTES), "BATCH_MAX_LINE_BYTES"),
        ("Tokens of an assistants file", f"{settings.ASSISTANTS_MAX_TOKENS:,}", "ASSISTANTS_MAX_TOKENS"),
        ("Sync of accounts", f"every {settings.SYNC_INTERVAL_SECONDS} s", "SYNC_INTERVAL_SECONDS"),
        ("Audit trail kept", _retention(), "AUDIT_RETENTION_DAYS"),
    ]


def _retention() -> str:
    return f"{settings.AUDIT_RETENTION_DAYS} days" if settings.AUDIT_RETENTION_DAYS else "for ever"


def _versions() -> list[tuple[str, str]]:
    broker = settings.CELERY_BROKER_URL.partition(":")[0]
    return [
        ("Files gateway", settings.VERSION),
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
        ("Database", connection.vendor),
        ("Broker", broker),
        ("Web workers", f"{settings.WEB_WORKERS} with {settings.WEB_THREADS} threads each"),
    ]
