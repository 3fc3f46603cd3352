"""Reconcile: compares the index with what the providers really hold, in both directions.

It reports. What it may remove it removes only when told so, and then only what no row explains, what no
sync would take into the index, and what is old enough not to belong to an upload that is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import QuerySet
from django.utils import timezone

from files_app.models import AuditAction, CopyState, FileCopy, ProviderAccount
from files_app.models.states import HOLDING_STATES
from files_app.services.accounts.drivers import driver_for
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import in_batches
from files_app.services.upstream.adoption import adopted_id, can_adopt, is_adoptable
from files_app.services.upstream.in_flight import unsettled_uploads
from files_app.services.upstream.lost import ask_for, is_lost, note_missed, old_enough
from files_app.services.upstream.pages import RemoteList
from files_app.services.upstream.results import KnownResults
from providers.base import Driver
from providers.exceptions import ProviderError, RemoteFileNotFoundError
from providers.objects import Operation, RemoteFile

_MAX_SECONDS = 3_600.0


class Finding(StrEnum):
    """How index and provider differ.

    new: made elsewhere, and the account's organization owns it: the next sync takes it into the index.
    unexplained: at the provider, and no row or sync explains it.
    leftover: the index counts it as gone, and the provider still has it.
    lost: in the index, and the provider has it no more.
    unrendered: what the provider's batch jobs read of a file is gone; `files render` makes it anew.
    """

    NEW = "new"
    UNEXPLAINED = "unexplained"
    LEFTOVER = "leftover"
    LOST = "lost"
    UNRENDERED = "unrendered"


class Action(StrEnum):
    """What was done about a difference."""

    NONE = ""
    REMOVED = "removed"
    MARKED = "marked as lost"
    NOTED = "not yet marked: a run in a minute will, if it is still missing"
    PROTECTED = "too young to remove"
    FOREIGN = "not removed: the gateway never gives such a name"
    UNDATED = "not removed: its age is unknown"
    FAILED = "not removed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One file on which index and provider disagree. file_id is empty where there is no row."""

    finding: Finding
    remote_id: str
    file_id: str = ""
    organization: str = ""
    filename: str = ""
    bytes: int | None = None
    created_at: datetime | None = None
    action: Action = Action.NONE
    detail: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do about it."""
        return self.action in {Action.REMOVED, Action.MARKED}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a reconciliation may do. dry_run: say what it would do, and do nothing.

    protection: files younger than this are never removed.
    """

    remove_unexplained: bool = False
    mark_lost: bool = False
    dry_run: bool = False
    protection: timedelta = timedelta(days=1)


@dataclass(slots=True)
class Reconciliation:
    """The report about one account. `is_complete`: the provider's list was read to its end."""

    account: ProviderAccount
    seen: int = 0
    differences: list[Difference] = field(default_factory=list)
    is_complete: bool = False
    note: str = ""

    def count(self, finding: Finding) -> int:
        """Return how many differences of this kind there are."""
        return sum(difference.finding == finding for difference in self.differences)

    @property
    def needs_attention(self) -> bool:
        """Whether anything is left that no sync will settle by itself."""
        found = self.differences
        return not self.is_complete or any(d.finding != Finding.NEW and not d.is_settled for d in found)


def reconcile_account(
    account: ProviderAccount,
    *,
    caller: Caller,
    orders: Orders,
    on_seen: Callable[[int], None] = lambda amount: None,
) -> Reconciliation:
    """Compare one account's provider with the index. Raises ProviderError and ProviderConfigurationError."""
    report = Reconciliation(account)
    driver = driver_for(account)
    if Operation.LIST not in driver.capabilities.operations:
        report.is_complete = True
        report.note = f"{driver.label} has no list: only `accounts test` and `files verify` can look there"
        return report
    caller = replace(caller, organization_id=account.organization_id or 0)
    work = _Work(account, driver, caller, orders, report)
    work.compare_list(on_seen)
    if report.is_complete:
        work.find_lost()
    else:
        report.note = "the provider's list could not be read to its end: lost files were not looked for"
    return report


class _Work:
    def __init__(
        self,
        account: ProviderAccount,
        driver: Driver,
        caller: Caller,
        orders: Orders,
        report: Reconciliation,
    ) -> None:
        self._account = account
        self._driver = driver
        self._caller = caller
        self._orders = orders
        self._report = report
        self._began = timezone.now()
        self._listed = RemoteList(driver, max_seconds=_MAX_SECONDS)
        self._may_adopt = can_adopt(account, driver)
        self._results = KnownResults(account, driver)
        self._uploads: list[FileCopy] = []

    # -- what the provider has ---------------------------------------------------------------------

    def compare_list(self, on_seen: Callable[[int], None]) -> None:
        """Read the provider's list and explain each file in it."""
        for page in self._listed:
            self._uploads = unsettled_uploads(self._account)
            self._report.seen += len(page)
            self._report.differences.extend(self._explained(page))
            on_seen(len(page))
        self._report.differences.extend(self._orphaned_renditions())
        self._report.differences.extend(self._orphaned_translations())
        self._report.is_complete = self._listed.is_complete

    def _explained(self, page: list[RemoteFile]) -> Iterator[Difference]:
        copies = self._copies_of([remote.remote_id for remote in page])
        known: dict[str, list[FileCopy]] = {}
        for copy in copies.select_related("file", "file__organization"):
            known.setdefault(copy.remote_id, []).append(copy)
        for remote in page:
            held = known.get(remote.remote_id)
            if held is None:
                if not self._results.explain(remote.remote_id):
                    yield self._stranger(remote)
            elif not any(copy.state in HOLDING_STATES for copy in held):
                hint = "; a sync takes it back" if held[0].state == CopyState.LOST else ""
                yield _about_copy(Finding.LEFTOVER, held[0], f"the index has it as {held[0].state}{hint}")

    def _orphaned_renditions(self) -> Iterator[Difference]:
        """Explain what lies there for batch jobs beside no file; what lies beside one goes with it."""
        for original, rendition in self._listed.renditions.items():
            if original in self._listed.seen:
                continue
            file_id = self._driver.file_id_of(original) or ""
            copies = FileCopy.objects.filter(file__file_id=file_id).select_related(
                "file", "file__organization"
            )
            if not copies:
                yield self._stranger(rendition)
            elif all(copy.state in (CopyState.DELETED, CopyState.FAILED) for copy in copies):
                left = _about_copy(Finding.LEFTOVER, copies[0], "the rendition of a file that is gone")
                yield self._handled(replace(left, remote_id=rendition.remote_id), rendition)

    def _orphaned_translations(self) -> Iterator[Difference]:
        """Explain what was translated of batch results that are gone; the rest goes with its result."""
        for result, translated in self._listed.translations:
            if result not in self._listed.seen and not self._copies_of([result]).exists():
                yield self._stranger(translated)

    def _copies_of(self, remote_ids: list[str]) -> QuerySet[FileCopy]:
        """Return every organization's copies of these ids, at whatever account.

        Two addresses and two drivers may lead to the same files.
        """
        return FileCopy.objects.filter(remote_id__in=remote_ids)

    def _stranger(self, remote: RemoteFile) -> Difference:
        difference = Difference(
            Finding.UNEXPLAINED,
            remote.remote_id,
            filename=remote.filename or "",
            bytes=remote.bytes,
            created_at=remote.created_at,
        )
        is_file = remote.rendition_of is None and remote.translation_of is None
        if is_file and self._may_adopt and adopted_id(self._account, self._driver, remote) is not None:
            if is_adoptable(remote, self._began, self._uploads):
                owner = self._account.organization.name if self._account.organization else ""
                return replace(difference, finding=Finding.NEW, organization=owner)
            return replace(difference, detail="may belong to an upload in progress, or is past its time")
        return self._handled(difference, remote)

    def _handled(self, difference: Difference, remote: RemoteFile) -> Difference:
        """Remove what nothing explains, if told so and if its age allows it."""
        if not self._orders.remove_unexplained:
            return difference
        is_named_by_us = self._driver.file_id_of(remote.rendition_of or remote.remote_id) is not None
        if not is_named_by_us and remote.translation_of is None:
            return replace(difference, action=Action.FOREIGN)
        if remote.created_at is None:
            return replace(difference, action=Action.UNDATED)
        began = [self._began, *(copy.created_at for copy in self._uploads)]
        oldest_safe = min(began) - self._orders.protection
        if remote.created_at > oldest_safe:
            return replace(difference, action=Action.PROTECTED)
        if self._orders.dry_run:
            return replace(difference, action=Action.REMOVED)
        return self._removed(difference)

    def _removed(self, difference: Difference) -> Difference:
        if self._copies_of([difference.remote_id]).exists():
            return replace(difference, action=Action.FAILED, detail="a row for it has appeared meanwhile")
        try:
            self._driver.delete_file(difference.remote_id)
        except RemoteFileNotFoundError:
            pass
        except ProviderError as exc:
            return replace(difference, action=Action.FAILED, detail=exc.message)
        audit.record(
            self._caller,
            AuditAction.RECONCILE_REMOVE,
            object_type="remote_file",
            object_id=difference.remote_id,
            account_name=self._account.name,
            filename=difference.filename[:100],
            bytes=difference.bytes,
        )
        return replace(difference, action=Action.REMOVED)

    # -- what the provider lacks -------------------------------------------------------------------

    def find_lost(self) -> None:
        """Ask the provider for each file that its complete list lacks."""
        held = old_enough(self._account, self._began)
        held = held.select_related("file", "file__organization", "file__account")
        for batch in in_batches(held):
            for copy in batch:
                if copy.remote_id not in self._listed.seen:
                    if self._is_gone(copy):
                        self._report.differences.append(self._lost(copy))
                elif copy.file.has_rendition and copy.remote_id not in self._listed.renditions:
                    hint = f"manage.py files render {copy.file.file_id}"
                    self._report.differences.append(_about_copy(Finding.UNRENDERED, copy, hint))

    def _is_gone(self, copy: FileCopy) -> bool:
        can_ask = Operation.RETRIEVE in self._driver.capabilities.operations
        return not can_ask or ask_for(copy, self._driver) is None

    def _lost(self, copy: FileCopy) -> Difference:
        difference = _about_copy(Finding.LOST, copy)
        if not self._orders.mark_lost:
            return difference
        is_marked = is_lost(copy, self._began) if self._orders.dry_run else note_missed(copy, self._began)
        return replace(difference, action=Action.MARKED if is_marked else Action.NOTED)


def _about_copy(finding: Finding, copy: FileCopy, detail: str = "") -> Difference:
    file = copy.file
    return Difference(
        finding,
        copy.remote_id,
        file_id=file.file_id,
        organization=file.organization.name,
        filename=file.filename,
        bytes=file.bytes,
        created_at=file.created_at,
        detail=detail,
    )
