"""`Needs attention`: each line with the verb that mends it, as far as the user's role goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from files_app.admin.bulk import MAX_ROWS
from files_app.admin.filters import GIVEN_UP, LATE
from files_app.admin.requests import reach_for
from files_app.models import CopyState
from files_app.services.operations.attention import Item, Trouble, attention
from files_app.services.operations.findings import Finding, Level

_ACCOUNT_TROUBLES = frozenset({Trouble.SILENT, Trouble.CREDENTIALS, Trouble.SYNC, Trouble.SHARED})
_WEBHOOK_TROUBLES = frozenset({Trouble.WEBHOOK_DEAD, Trouble.WEBHOOK_GONE, Trouble.WEBHOOK_LATE})
#: Findings of the background that `attention` has one by one.
_TOLD_ONE_BY_ONE = frozenset({"sync", "deletions", "jobs"})


@dataclass(frozen=True, slots=True)
class Verb:
    """A button. action: the bulk action that it asks for, of all rows that its address lists."""

    title: str
    link: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to look at, and what to do about it: the first verb mends it."""

    is_critical: bool
    subject: str
    detail: str
    verbs: tuple[Verb, ...]


def lines_of(request: HttpRequest, findings: Iterable[Finding]) -> list[Line]:
    """Return what needs attention, for what the user may see. findings: what the background lacks."""
    background = [
        Line(
            finding.level == Level.PROBLEM,
            finding.area.capitalize(),
            f"{finding.detail}. {finding.fix}",
            (Verb("System", reverse("admin:system")),),
        )
        for finding in findings
        if finding.fix and finding.area not in _TOLD_ONE_BY_ONE
    ]
    items = [item for item in attention(reach_for(request)) if _may_see(request, item)]
    rest = [Line(item.is_critical, item.subject, item.detail, tuple(_verbs(request, item))) for item in items]
    return sorted([*background, *rest], key=lambda line: not line.is_critical)


def _may_see(request: HttpRequest, item: Item) -> bool:
    if item.trouble in _ACCOUNT_TROUBLES:
        return request.user.has_perm("files_app.view_provideraccount")
    if item.trouble == Trouble.QUOTA:
        return request.user.has_perm("files_app.view_organization")
    if item.trouble in _WEBHOOK_TROUBLES:
        return request.user.has_perm("files_app.view_webhookdelivery")
    if item.trouble == Trouble.JOB:
        return request.user.has_perm("files_app.view_file")
    return item.trouble == Trouble.SECRETS or request.user.has_perm("files_app.view_filecopy")


def _verbs(request: HttpRequest, item: Item) -> Iterator[Verb]:
    match item.trouble:
        case Trouble.SECRETS:
            yield Verb("System", reverse("admin:system"))
        case Trouble.QUOTA:
            yield from _quota_verbs(request, item)
        case Trouble.DEAD:
            yield from _dead_verbs(request, item)
        case Trouble.LATE:
            yield Verb("Look", f"{_deletions()}?account={item.account.pk if item.account else ''}")
        case Trouble.UNCONFIRMED:
            yield Verb("Look", f"{_deletions()}?state={CopyState.UNCONFIRMED}")
        case Trouble.JOB:
            yield Verb("Look", reverse("admin:files_app_filejob_change", args=[item.job_pk]))
        case Trouble.WEBHOOK_DEAD:
            yield from _webhook_verbs(request, item, GIVEN_UP)
        case Trouble.WEBHOOK_LATE:
            yield from _webhook_verbs(request, item, LATE)
        case Trouble.WEBHOOK_GONE:
            page = reverse("admin:files_app_webhookendpoint_change", args=[item.webhook_pk])
            may_switch = request.user.has_perm("files_app.change_webhookendpoint")
            yield Verb("Switch on or leave off" if may_switch else "Open", page)
        case _:
            yield from _account_verbs(request, item)


def _deletions() -> str:
    return reverse("admin:files_app_filecopy_changelist")


def _quota_verbs(request: HttpRequest, item: Item) -> Iterator[Verb]:
    page = reverse("admin:files_app_organization_change", args=[item.organization_pk])
    may_change = request.user.has_perm("files_app.change_organization")
    yield Verb("Raise quota" if may_change else "Open", page)
    files = reverse("admin:files_app_file_changelist")
    yield Verb("Largest files", f"{files}?organization={item.organization_pk}&o=5")


def _dead_verbs(request: HttpRequest, item: Item) -> Iterator[Verb]:
    listed = f"{_deletions()}?state={CopyState.DEAD}&account={item.account.pk if item.account else ''}"
    if request.user.has_perm("files_app.change_filecopy") and item.waiting <= MAX_ROWS:
        yield Verb(f"Retry {item.waiting}", listed, "retry_deletions")
    yield Verb("Why", listed)


def _webhook_verbs(request: HttpRequest, item: Item, state: str) -> Iterator[Verb]:
    log = reverse("admin:files_app_webhookdelivery_changelist")
    listed = f"{log}?state={state}&endpoint={item.webhook_pk}"
    if request.user.has_perm("files_app.change_webhookdelivery") and item.waiting <= MAX_ROWS:
        yield Verb(f"Send {item.waiting} again", listed, "resend_webhooks")
    yield Verb("Why", listed)


def _account_verbs(request: HttpRequest, item: Item) -> Iterator[Verb]:
    if item.account is None:
        return
    page = reverse("admin:files_app_provideraccount_change", args=[item.account.pk])
    may_change = request.user.has_perm("files_app.change_provideraccount")
    may_test = request.user.has_perm("files_app.operate_provideraccount")
    if item.trouble == Trouble.CREDENTIALS and may_change:
        yield Verb("Enter credentials", page)
    elif item.trouble != Trouble.SHARED and may_test:
        yield Verb("Test connection", f"{page}?test=1")
    else:
        yield Verb("Open account", page)
    if item.waiting:
        shown = f"{item.waiting:,}" if item.waiting <= MAX_ROWS else f"more than {MAX_ROWS:,}"
        title = f"{shown} deletion waits" if item.waiting == 1 else f"{shown} deletions wait"
        yield Verb(title, f"{_deletions()}?account={item.account.pk}")
