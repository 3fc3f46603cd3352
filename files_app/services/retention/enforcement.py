"""Carries retention rules out: what is beyond them goes the way that expired files go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from files_app.models import (
    AuditAction,
    AuditEvent,
    CopyState,
    DeletedReason,
    File,
    FileCopy,
    FileState,
    Organization,
    RetentionRule,
)
from files_app.models.files import FileQuerySet
from files_app.services.deletes import outbox
from files_app.services.deletes.ending import end_all
from files_app.services.index import audit
from files_app.services.index.callers import system_caller

_LONGEST_SECONDS = 60.0


class Ending(StrEnum):
    """Which value of a rule ends a file. The value is the name of the rule's column."""

    LIFE = "longest_life_seconds"
    LOST = "lost_after_seconds"
    FAILED = "failed_after_seconds"

    @property
    def label(self) -> str:
        """What it is called."""
        return {"LIFE": "lives at most", "LOST": "lost go after", "FAILED": "failed go after"}[self.name]


@dataclass(frozen=True, slots=True)
class Going:
    """What one value of a rule would remove now. oldest: when the first of the files was made."""

    rule: RetentionRule
    ending: Ending
    files: int
    bytes: int
    held: int
    oldest: datetime | None


def apply_rules() -> int:
    """Remove what is beyond the rules and return how many files; stops after a minute, the next run goes on.

    It stops, too, when somebody changes a rule: what goes by the rules of before cannot be brought back.
    Files on legal hold stay. Safe to be killed and to run twice.
    """
    ends = time.monotonic() + _LONGEST_SECONDS
    said = _said()
    rules = list(RetentionRule.objects.select_related("organization", "account"))
    gone = 0
    for rule in rules:
        for ending in Ending:
            for files in over(rule, ending, rules):
                gone += end_all(
                    files.filter(is_held=False).order_by("indexed_at"),
                    partial(_end, rule=rule, ending=ending),
                    seconds=ends - time.monotonic(),
                    goes_on=lambda: _said() == said,
                )
    return gone


def _said() -> list[tuple[Any, ...]]:
    """Return all that the rules say, to be compared."""
    return list(RetentionRule.objects.order_by("pk").values_list())


def preview(rules: list[RetentionRule], *, only: Organization | None = None) -> list[Going]:
    """Return what these rules would remove now, saved or not; nothing is changed.

    only: of this organization's files.
    """
    found = []
    for rule in rules:
        for ending in Ending:
            if getattr(rule, ending.value) is not None:
                found.append(_going(rule, ending, rules, only))
    return found


def over(rule: RetentionRule, ending: Ending, rules: list[RetentionRule]) -> Iterator[FileQuerySet]:
    """Yield the files that a value of a rule ends now, also those on hold: an organization at a time.

    What a nearer rule decides is left out. rules: all there are.
    """
    seconds = getattr(rule, ending.value)
    if seconds is None:
        return
    before = timezone.now() - timedelta(seconds=seconds)
    nearer = [
        each.scope
        for each in rules
        if each.nearness > rule.nearness and getattr(each, ending.value) is not None
    ]
    for organization_id in _organizations(rule):
        files = File.objects.for_organization(organization_id).filter(rule.scope, is_withheld=False)
        for scope in nearer:
            files = files.exclude(scope)
        yield _ended(files, ending, before)


def _ended(files: FileQuerySet, ending: Ending, before: datetime) -> FileQuerySet:
    match ending:
        case Ending.LIFE:
            # By our clock, but for what was made elsewhere; lists and their indexes are in that order, too.
            there = [FileState.AVAILABLE, FileState.TRASHED]
            return files.filter(state__in=there, indexed_at__lte=before)
        case Ending.LOST:
            return files.filter(state=FileState.LOST, state_changed_at__lte=before)
        case Ending.FAILED:
            settled = Q(state=CopyState.FAILED, remote_id="") | Q(pk__in=FileCopy.objects.over(before))
            open_copies = FileCopy.objects.filter(file=OuterRef("pk")).exclude(settled)
            failed = files.filter(state=FileState.FAILED, state_changed_at__lte=before)
            return failed.filter(~Exists(open_copies))


def _organizations(rule: RetentionRule) -> Iterator[int]:
    """Yield whose files a rule is for; at a shared account one after the other, as the index has them."""
    if rule.organization_id is not None:
        yield rule.organization_id
        return
    here, last = File.objects.filter(account=rule.account_id).order_by("organization_id"), 0
    owners = here.values_list("organization_id", flat=True)
    while (found := owners.filter(organization_id__gt=last).first()) is not None:
        yield found
        last = found


def _end(files: Sequence[File], *, rule: RetentionRule, ending: Ending) -> bool:
    """End files; False where somebody was faster, or one is on hold meanwhile."""
    if ending == Ending.FAILED:
        rows = File.objects.filter(pk__in=[file.pk for file in files], state=FileState.FAILED, is_held=False)
        return rows.delete()[1].get(File._meta.label) == len(files)
    trashed = [file for file in files if file.state == FileState.TRASHED]
    others = [file for file in files if file.state != FileState.TRASHED]
    is_done = outbox.tombstones(others, reason=DeletedReason.RETENTION) and outbox.tombstones_trashed(trashed)
    if is_done:
        caller = system_caller(files[0].organization_id)
        audit.record_files(caller, AuditAction.FILE_EXPIRE, files, rule=str(rule), value=ending.value)
    return is_done


def _going(
    rule: RetentionRule, ending: Ending, rules: list[RetentionRule], only: Organization | None
) -> Going:
    number = size = held = 0
    oldest: datetime | None = None
    for files in over(rule, ending, rules):
        rows: QuerySet[File] = files if only is None else files.filter(organization=only)
        held += rows.filter(is_held=True).count()
        rows = rows.filter(is_held=False)
        number += rows.count()
        size += rows.aggregate(Sum("bytes"))["bytes__sum"] or 0
        first = rows.order_by("created_at").values_list("created_at", flat=True).first()
        oldest = min(filter(None, (oldest, first)), default=None)
    return Going(rule, ending, number, size, held, oldest)


def prune_audit(default_days: int) -> int:
    """Remove audit events after their organization's days, or after `default_days`; 0 for never."""
    now = timezone.now()
    own = RetentionRule.objects.filter(keep_audit_days__isnull=False, organization__isnull=False)
    days = dict(own.values_list("organization", "keep_audit_days"))
    removed = 0
    for organization_id, kept in days.items():
        events = AuditEvent.objects.filter(organization=organization_id)
        removed += events.prune(now - timedelta(days=kept or 0))
    if default_days:
        others = AuditEvent.objects.exclude(organization__in=days)
        removed += others.prune(now - timedelta(days=default_days))
    return removed
