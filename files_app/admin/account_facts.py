"""What the page of an account says of it: its state, and what its driver can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.admin.formatting import badge
from files_app.models import OpenBreaker, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.words import short_bytes
from providers.exceptions import ProviderConfigurationError
from providers.objects import Capabilities, Operation
from providers.registry import driver_class


def account_status(row: ProviderAccount) -> SafeString:
    """Return the badge of an account."""
    shown = (
        badge("enabled", "ok") if row.is_enabled else badge("disabled", "neutral", "Requests are refused.")
    )
    if row.is_default:
        shown = format_html("{} {}", shown, badge("default", "info"))
    for breaker in open_breakers(row):
        shown = format_html("{} {}", shown, badge(f"{breaker.kind} not answered", "critical", breaker.error))
    if row.shared_since is not None:
        reason = row.get_shared_reason_display()
        shown = format_html(
            "{} {}", shown, badge("files shared", "warning", f"Nothing is adopted: {reason}.")
        )
    return shown


def open_breakers(row: ProviderAccount) -> list[OpenBreaker]:
    """Return what the account's provider does not answer now: of each kind the one that is open longest."""
    longest: dict[str, OpenBreaker] = {}
    for breaker in sorted(row.open_breakers.all(), key=lambda breaker: breaker.opened_at):
        if breaker.is_current:
            longest.setdefault(breaker.kind, breaker)
    return list(longest.values())


def facts_of(row: ProviderAccount) -> dict[str, Any]:
    """Return what the account's driver can do, in words."""
    try:
        capabilities = driver_for(row).capabilities
        problem = ""
    except ProviderConfigurationError as exc:
        capabilities, problem = driver_class(row.driver).capabilities, str(exc)
    return {
        "problem": problem,
        "operations": [
            (
                operation.value,
                operation in capabilities.operations,
                capabilities.missing_reasons.get(operation, ""),
            )
            for operation in Operation
        ],
        "purposes": sorted(capabilities.purposes),
        "facts": list(_facts(capabilities)),
    }


def _facts(capabilities: Capabilities) -> Iterator[tuple[str, str]]:
    yield (
        "Stored at",
        {"provider": "the provider", "disk": "this host's disk"}.get(
            capabilities.storage, capabilities.storage.upper()
        ),
    )
    yield (
        "Largest file",
        short_bytes(capabilities.max_bytes) if capabilities.max_bytes else "the organization's limit",
    )
    for purpose, size in capabilities.max_bytes_by_purpose.items():
        yield f"Largest {purpose} file", short_bytes(size)
    yield "Expiry", "by the provider" if capabilities.expiry.native else "by the gateway"
    if capabilities.expiry.default_seconds:
        yield "Kept unasked", f"{capabilities.expiry.default_seconds // 86_400} days"
    yield "Partial downloads", "yes" if capabilities.ranges else "no"
    if capabilities.content != "exact":
        yield "Content", "text that the provider extracts"
