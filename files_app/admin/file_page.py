"""The page of one file: what is known of it, and of a failed upload whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from files_app.admin.account_names import account_names
from files_app.admin.file_list import uploader_of
from files_app.admin.requests import reach_for
from files_app.models import ApiKey, AuditAction, AuditEvent, FailureKind, File, FileState
from files_app.services.accounts.drivers import driver_for
from providers.exceptions import ProviderConfigurationError
from providers.objects import Operation

MAX_TIMELINE_EVENTS = 200

#: Whose turn it is, and what to do.
NEXT_STEPS: dict[str, str] = {
    FailureKind.CREDENTIALS: "Enter credentials that the provider accepts and test the connection. Until "
    "then every upload to this account fails; clients send theirs again afterwards.",
    FailureKind.CONFIGURATION: "Correct the account: its endpoint, bucket, encryption key or billing. The "
    "test of the connection says whether it works.",
    FailureKind.UNAVAILABLE: "Nothing is wrong with the file. Test the connection: when the provider "
    "answers again, the client sends the file again.",
    FailureKind.RATE_LIMITED: "The provider asked to slow down. The client sends the file again later; a "
    "higher limit is the provider's to give.",
    FailureKind.REJECTED: "The provider will not take this file as it is. The client has to change what "
    "the provider names, and send it again.",
    FailureKind.UNCLEAR: "Test the connection. If that works, give the request id to whoever runs the "
    "provider: its answer made no sense.",
    FailureKind.INVALID: "The client has to correct the file or the request, and send it again. Nothing "
    "has to be done here.",
    FailureKind.TOO_LARGE: "The client has to split the file; or give the organization a larger limit for "
    "one file, where the provider takes such.",
    FailureKind.QUOTA: "Raise the organization's quota, or delete files; then the client sends the file "
    "again.",
    FailureKind.BROKEN_OFF: "The client went away before the file was complete, or something between it "
    "and the gateway cut the connection. It has to send the file again.",
    FailureKind.STALLED: "The client or the provider stopped for too long. The client sends the file "
    "again; if that happens often, test the connection.",
    FailureKind.GATEWAY: "Find the request id in the gateway's log: the lines of that request say more.",
    "": "Test the connection; if it works, the client sends the file again.",
}
_OF_THE_ORGANIZATION = frozenset({FailureKind.QUOTA, FailureKind.TOO_LARGE})
_OF_THE_CLIENT = frozenset({FailureKind.INVALID, FailureKind.BROKEN_OFF, FailureKind.REJECTED})


@dataclass(frozen=True, slots=True)
class Step:
    """A button that leads to where something can be done."""

    title: str
    icon: str
    link: str
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class FailurePanel:
    """What stands on top of the page of a failed upload, and nowhere else on it.

    event: the end of the upload in the audit trail; None where retention has removed it.
    """

    what: str
    reason: str
    next_step: str
    event: AuditEvent | None
    steps: Sequence[Step]


def failure_panel(request: HttpRequest, file: File, events: Sequence[AuditEvent]) -> FailurePanel | None:
    """Return what to say of a failed upload; None of any other file. events: its timeline."""
    if file.state != FileState.FAILED:
        return None
    ended = (
        event for event in events if event.action == AuditAction.FILE_CREATE and event.result == "failed"
    )
    return FailurePanel(
        file.get_failure_kind_display() if file.failure_kind else "",
        file.failure or "No reason was recorded.",
        NEXT_STEPS[file.failure_kind],
        next(ended, None),
        list(_steps(request, file)),
    )


def _steps(request: HttpRequest, file: File) -> list[Step]:
    kind, reach = file.failure_kind, reach_for(request)
    steps = []
    if kind in _OF_THE_ORGANIZATION and request.user.has_perm("files_app.change_organization"):
        link = reverse("admin:files_app_organization_change", args=[file.organization_id])
        steps.append(Step("Open organization", "apartment", link, is_first=True))
    is_in_sight = reach.sees_all or file.account.organization_id in (reach.organization_ids or ())
    if is_in_sight and request.user.has_perm("files_app.view_provideraccount"):
        account = reverse("admin:files_app_provideraccount_change", args=[file.account_id])
        may_test = request.user.has_perm("files_app.operate_provideraccount")
        if may_test and kind not in _OF_THE_CLIENT | _OF_THE_ORGANIZATION:
            steps.append(Step("Test connection", "network_check", f"{account}?test=1", is_first=True))
        steps.append(Step("Open account", "hub", account))
    return steps


def origin_facts(request: HttpRequest, file: File) -> dict[str, Any]:
    """Return who uploaded a file, and the links to whatever else came from there."""
    listed = reverse("admin:files_app_file_changelist")
    who = uploader_of(file)
    may_see_keys = request.user.has_perm("files_app.view_apikey")
    key: ApiKey | None = file.api_key
    return {
        "uploader": key.name if key is not None else file.uploaded_by,
        "key_link": reverse("admin:files_app_apikey_change", args=[key.pk]) if key and may_see_keys else "",
        "same_uploader": f"{listed}?by={who}" if who else "",
        "account_name": account_names(request).of(file.account),
    }


def timeline(file: File) -> list[AuditEvent]:
    """Return what happened to a file, the latest first."""
    events = AuditEvent.objects.filter(
        object_type="file", object_id=file.file_id, organization=file.organization_id
    )
    return list(events[:MAX_TIMELINE_EVENTS])


def has_content(file: File) -> bool:
    """Whether the provider gives the file's bytes back."""
    return not why_unreadable(file)


def why_unreadable(file: File) -> str:
    """Return why the bytes cannot be read; empty when they can."""
    try:
        capabilities = driver_for(file.account).capabilities
    except ProviderConfigurationError as exc:
        return str(exc)
    if Operation.CONTENT not in capabilities.operations:
        reason = capabilities.missing_reasons.get(Operation.CONTENT, "")
        return f"This provider does not give uploaded files back. {reason}".strip()
    return "" if file.account.is_enabled else "The provider account is switched off."
