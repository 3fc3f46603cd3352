"""Orders of the operator's shell about rules, holds and the trash; the process may be killed in them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models import F

from files_app.models import AuditEvent, File, FileJob, JobKind, Organization, RetentionRule
from files_app.services.bulk import exports, jobs, work
from files_app.services.deletes import trash
from files_app.services.index import audit, pace
from files_app.services.index.callers import system_caller
from files_app.services.retention import enforcement, holds


@contextmanager
def _killed_at(number: int) -> Iterator[None]:
    """SIGKILL this process in its so many-th transaction, behind its updates and before its commit; 0: never.

    Each of these flows writes its audit events last; a job writes its results behind them.
    """
    of_one, of_many, of_export, calls = audit.record_file, audit.record_files, exports.write, 0

    def dying(record: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **kwargs: Any) -> None:
            nonlocal calls
            calls += 1
            record(*args, **kwargs)
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)

        return call

    audit.record_file, audit.record_files = dying(of_one), dying(of_many)
    exports.write = dying(of_export)
    try:
        yield
    finally:
        audit.record_file, audit.record_files = of_one, of_many
        exports.write = of_export


def set_trash(organization: int, days: int, is_free: bool) -> None:
    Organization.objects.filter(pk=organization).update(trash_days=days, trash_is_free=is_free)


def let_files_age(organization: int, days: int) -> None:
    ago = timedelta(days=days)
    rows = File.objects.for_organization(organization)
    rows.update(created_at=F("created_at") - ago, indexed_at=F("indexed_at") - ago)


def make_rule(organization: int, longest_life_seconds: int) -> None:
    RetentionRule.objects.create(organization_id=organization, longest_life_seconds=longest_life_seconds)


def drop_rules() -> None:
    RetentionRule.objects.all().delete()


def apply_rules(kill_at: int = 0, group: int = 100) -> int:
    """Do what a worker does with rules, so many files at a time."""
    pace._MOST = pace._LEAST = group
    with _killed_at(kill_at):
        return enforcement.apply_rules()


def restore(file_id: str, kill_at: int = 0) -> None:
    file = File.objects.get(file_id=file_id)
    with _killed_at(kill_at):
        trash.restore(file, caller=system_caller(file.organization_id))


def hold(file_id: str, kill_at: int = 0) -> None:
    file = File.objects.get(file_id=file_id)
    with _killed_at(kill_at):
        holds.hold_files([file], reason="case", caller=system_caller(file.organization_id))


def order_deletes(organization: int) -> int:
    """Make a job that deletes every file of an organization."""
    files = File.objects.for_organization(organization)
    order = jobs.Order(JobKind.DELETE, "all", {"reason": "admin"})
    return jobs.create(order, files, caller=system_caller(organization)).pk


def order_export(organization: int) -> int:
    """Make a job that exports every file of an organization."""
    files = File.objects.for_organization(organization)
    return jobs.create(jobs.Order(JobKind.EXPORT, "all"), files, caller=system_caller(organization)).pk


def exported(pk: int) -> list[str]:
    return [record["id"] for record in exports.records_of(FileJob.objects.get(pk=pk))]


def work_on_jobs(kill_at: int = 0, group: int = 100) -> int:
    """Do what a worker does with jobs, so many files at a time, those too whose worker has died."""
    FileJob.objects.update(lease_expires_at=None)
    pace._MOST = pace._LEAST = group
    with _killed_at(kill_at):
        return work.work_due()


def job(pk: int) -> dict[str, Any]:
    row = FileJob.objects.get(pk=pk)
    results = list(row.items.values_list("file_id", "result"))
    return {"status": row.status, "done": row.done_files, "refused": row.refused_files, "results": results}


def deletes_audited(organization: int) -> int:
    return AuditEvent.objects.filter(organization=organization, action="file.delete").count()


ORDERS: dict[str, Callable[..., Any]] = {
    order.__name__: order
    for order in (
        *(set_trash, let_files_age, make_rule, drop_rules, apply_rules, restore, hold),
        *(order_deletes, order_export, exported, work_on_jobs, job, deletes_audited),
    )
}
