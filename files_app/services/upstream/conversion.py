"""Converts batch results that were taken in as they were, before they were translated.

One row of each result becomes its output file and keeps its id. Rows of other objects of the same result, as
its summary, go: what they showed is in that file, in the file of errors and in `batch.counts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from django.db import transaction

from files_app.models import AuditAction, CopyState, File, FileCopy, FileState, ProviderAccount, ResultPart
from files_app.models.files import FileQuerySet
from files_app.services.accounts.drivers import driver_for
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.metering import spans
from files_app.services.upstream import translation
from files_app.services.upstream.results import described, held_results, source_of
from providers.objects import RemoteFile
from providers.results import JobResults, ResultName


class Conversion(StrEnum):
    """What becomes of one row."""

    CONVERTED = "converted"
    REMOVED = "part of another"


@dataclass(frozen=True, slots=True)
class Converted:
    """One row and what became of it."""

    file: File
    outcome: Conversion


@dataclass(frozen=True, slots=True)
class _Member:
    name: ResultName
    copy: FileCopy


def convert_results(files: FileQuerySet, *, caller: Caller, dry_run: bool = False) -> Iterator[Converted]:
    """Convert the results among `files` whose provider has them. Safe to stop and to repeat.

    A worker translates them then. A result that is no answer in a known form stays what it is.
    """
    native = files.filter(
        state=FileState.AVAILABLE,
        purpose="batch_output",
        result_part="",
        is_adopted=True,
        is_withheld=False,
        is_held=False,
    )
    for pk in native.order_by("account").values_list("account", flat=True).distinct():
        account = ProviderAccount.objects.select_related("organization").get(pk=pk)
        results = driver_for(account).results
        if results is not None:
            for member, outcome in _planned(account, native.filter(account=account), results):
                file = member.copy.file
                if not dry_run:
                    change = _convert if outcome == Conversion.CONVERTED else _remove
                    change(member, replace(caller, organization_id=file.organization_id))
                yield Converted(file, outcome)


def _planned(
    account: ProviderAccount, files: FileQuerySet, results: JobResults
) -> Iterator[tuple[_Member, Conversion]]:
    """Yield what is to become of each row."""
    groups, summaries = _grouped(files, results)
    held = held_results(account, results)
    for group, members in groups.items():
        members.sort(key=lambda member: member.name.order)
        for number, member in enumerate(members):
            is_main = number == 0 and group not in held
            yield member, Conversion.CONVERTED if is_main else Conversion.REMOVED
    folders = {f"{group.rpartition('/')[0]}/" for group in (*groups, *held)}
    for member in summaries:
        if member.name.group in folders:
            yield member, Conversion.REMOVED


def _grouped(files: FileQuerySet, results: JobResults) -> tuple[dict[str, list[_Member]], list[_Member]]:
    """Return the rows by what belongs together, and those of summaries."""
    groups: dict[str, list[_Member]] = {}
    summaries = []
    copies = FileCopy.objects.filter(file__in=files, state=CopyState.AVAILABLE).order_by("pk")
    for copy in copies.select_related("file__organization", "file__account"):
        name = results.name_of(copy.remote_id)
        if name is not None and name.is_summary:
            summaries.append(_Member(name, copy))
        elif name is not None:
            groups.setdefault(name.group, []).append(_Member(name, copy))
    return groups, summaries


@transaction.atomic
def _convert(member: _Member, caller: Caller) -> None:
    file, copy = member.copy.file, member.copy
    remote = RemoteFile(copy.remote_id, created_at=file.created_at, uri=file.uri or None)
    result = described(remote, source_of(file.organization, member.name))
    row = File.objects.filter(pk=file.pk, state=FileState.AVAILABLE, result_part="")
    changed = spans.update(
        row,
        result_part=ResultPart.OUTPUT,
        filename=result.filename,
        content_type=result.content_type,
        status=result.status,
        batch=result.batch,
        bytes=0,
        sha256="",
    )
    if changed:
        FileCopy.objects.filter(pk=copy.pk).update(is_shared_remote=True)
        audit.record_file(caller, AuditAction.FILE_CONVERT, file)
        translation.send_after_commit(file)


@transaction.atomic
def _remove(member: _Member, caller: Caller) -> None:
    """Take a row out of the index. Its object stays, as a part of the result, and goes with that."""
    file = member.copy.file
    audit.record_file(caller, AuditAction.FILE_CONVERT, file, result=Conversion.REMOVED.value)
    spans.delete(File.objects.filter(pk=file.pk, is_held=False))
