"""Jobs on many files: which files, each once, what a kill or a refusal leaves, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, OperationalError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from files_app.exceptions import ConflictError, InvalidRequestError
from files_app.models import (
    AuditEvent,
    ExportedChunk,
    File,
    FileJob,
    FileJobItem,
    FileJobPart,
    JobKind,
    JobStatus,
)
from files_app.services.bulk import actions, choice, exports, jobs, work
from files_app.services.bulk.jobs import Order
from files_app.services.bulk.together import TOGETHER, Plan
from files_app.services.deletes import queue
from files_app.services.index import pace
from files_app.services.index.callers import Caller, system_caller
from files_app.services.index.file_objects import file_record
from files_app.services.reading.listing import FileFilters
from files_app.services.retention import holds
from tests.fake_provider import FakeProvider
from tests.files_app.cast import Tenant, counters

AUDITED = {JobKind.DELETE: "delete", JobKind.EXPIRE: "set_expiry"}


def upload(tenant: Tenant, number: int, **headers: str) -> list[str]:
    return [tenant.api.create(content=b"x" * (each + 1), headers=headers)["id"] for each in range(number)]


def caller(tenant: Tenant) -> Caller:
    return Caller(tenant.organization.pk, AuditEvent.Actor.USER, "somebody")


def job_on(tenant: Tenant, kind: str = JobKind.DELETE, **arguments: Any) -> FileJob:
    files = File.objects.for_organization(tenant.organization)
    return jobs.create(Order(kind, "all of it", arguments), files, caller=caller(tenant))


def results(job: FileJob) -> dict[str, str]:
    return dict(job.items.values_list("file_id", "result"))


def test_each_file_is_deleted_once_and_told_of(acme: Tenant) -> None:
    ids = upload(acme, 3)
    job = job_on(acme)
    later = acme.api.create(content=b"came later")["id"]
    assert (job.files, job.bytes) == (3, 6)
    assert not work.take_turn(job.pk)
    job.refresh_from_db()
    assert (job.status, job.done_files, job.done_bytes, job.percent) == (JobStatus.DONE, 3, 6, 100)
    assert results(job) == dict.fromkeys(ids, "done")
    assert {file["id"] for file in acme.api.get("/files").json()["data"]} == {later}
    deleted = AuditEvent.objects.filter(action="file.delete")
    assert {(event.object_id, event.actor) for event in deleted} == {(file_id, "somebody") for file_id in ids}
    assert counters(acme.organization) == (10, 0, 1)


def test_what_is_held_stays_and_the_report_says_why(acme: Tenant) -> None:
    kept, gone = upload(acme, 2)
    holds.hold_files([File.objects.get(file_id=kept)], reason="case 17", caller=caller(acme))
    job = job_on(acme)
    work.take_turn(job.pk)
    job.refresh_from_db()
    assert (job.status, job.done_files, job.refused_files) == (JobStatus.DONE, 1, 1)
    assert results(job) == {kept: "refused", gone: "done"}
    assert "hold" in job.items.get(file_id=kept).detail
    assert acme.api.get(f"/files/{kept}").status == 200


def test_the_trash_is_respected(acme: Tenant) -> None:
    acme.set_limits(trash_days=7)
    (file_id,) = upload(acme, 1)
    job = job_on(acme)
    work.take_turn(job.pk)
    assert File.objects.get().state == "trashed"
    assert job.items.get(file_id=file_id).detail == "in the trash"


def test_work_that_breaks_off_goes_on_where_it_was(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(acme, 3)
    job, seen = job_on(acme), []

    def breaks(file: File, *args: Any) -> str:
        seen.append(file.file_id)
        if len(seen) == 2:
            raise DatabaseError("the database is away")
        return actions.delete(file, *args)

    monkeypatch.delitem(TOGETHER, JobKind.DELETE)
    monkeypatch.setitem(actions.ACTIONS, JobKind.DELETE, breaks)
    with pytest.raises(DatabaseError):
        work.take_turn(job.pk)
    assert sorted(results(job).values()) == ["", "", "done"]
    assert not work.take_turn(job.pk)  # whoever had it may live: its lease says so
    assert sorted(results(job).values()) == ["", "", "done"]
    FileJob.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert work.work_due() == 1
    job.refresh_from_db()
    assert (job.status, job.done_files, job.refused_files) == (JobStatus.DONE, 3, 0)
    assert AuditEvent.objects.filter(action="file.delete").count() == 3
    assert counters(acme.organization) == (0, 0, 0)


def test_files_are_done_together_by_few_statements(acme: Tenant) -> None:
    upload(acme, 1)
    with CaptureQueriesContext(connection) as for_one:
        work.take_turn(job_on(acme).pk)
    upload(acme, 12)
    with CaptureQueriesContext(connection) as for_many:
        work.take_turn(job_on(acme).pk)
    # For each: its line in the audit trail. For all of them: the rest.
    assert len(for_many) - len(for_one) <= 12 + 2
    assert AuditEvent.objects.filter(action="file.delete").count() == 13
    assert counters(acme.organization) == (0, 0, 0)


@pytest.mark.parametrize("kind", [JobKind.DELETE, JobKind.EXPIRE])
@pytest.mark.parametrize("change", [{"is_held": True}, {"state": "lost"}, {"state": "deleting"}])
def test_a_file_that_changes_while_its_group_is_done_harms_no_other(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, kind: JobKind, change: dict[str, Any]
) -> None:
    changed, *others = upload(acme, 4)
    when = timezone.now() + timedelta(days=3)
    job = job_on(acme, kind, **({"expires_at": when.isoformat()} if kind is JobKind.EXPIRE else {}))
    plan = TOGETHER[kind].plan

    def overtaken(job: FileJob, files: Sequence[File]) -> Plan:
        planned = plan(job, files)
        QuerySet(File).filter(file_id=changed).update(**change)
        return planned

    monkeypatch.setitem(TOGETHER, kind, TOGETHER[kind]._replace(plan=overtaken))
    assert not work.take_turn(job.pk)
    job.refresh_from_db()
    is_lost_and_goes = kind is JobKind.DELETE and change == {"state": "lost"}
    expected = dict.fromkeys(others, "done") | {changed: "done" if is_lost_and_goes else "refused"}
    assert results(job) == expected
    assert (job.done_files, job.refused_files) == ((4, 0) if is_lost_and_goes else (3, 1))
    assert AuditEvent.objects.filter(action=f"file.{AUDITED[kind]}").count() == job.done_files


def test_a_group_that_fails_is_done_one_by_one(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = upload(acme, 3)
    job = job_on(acme)
    do = TOGETHER[JobKind.DELETE].do

    def deadlocked(job: FileJob, files: Sequence[File], asked: Caller) -> Any:
        do(job, files, asked)
        raise OperationalError("deadlock detected")

    monkeypatch.setitem(TOGETHER, JobKind.DELETE, TOGETHER[JobKind.DELETE]._replace(do=deadlocked))
    work.take_turn(job.pk)
    assert results(job) == dict.fromkeys(ids, "done")
    assert AuditEvent.objects.filter(action="file.delete").count() == 3
    assert counters(acme.organization) == (0, 0, 0)


def test_a_group_of_several_organizations_frees_each_its_own(acme: Tenant, other: Tenant) -> None:
    other.set_limits(trash_days=7, trash_is_free=True)
    upload(acme, 2)
    upload(other, 2)
    job = jobs.create(
        Order(JobKind.DELETE, "all", {}),
        File.objects.all(),
        caller=Caller(0, AuditEvent.Actor.USER, "somebody"),
    )
    work.take_turn(job.pk)
    assert set(File.objects.values_list("organization__name", "state")) == {
        ("acme", "deleting"),
        ("other", "trashed"),
    }
    assert counters(acme.organization) == counters(other.organization) == (0, 0, 0)
    events = AuditEvent.objects.filter(action="file.delete").values_list("organization__name", "actor")
    assert sorted(events) == [("acme", "somebody")] * 2 + [("other", "somebody")] * 2


def test_every_delete_of_a_group_is_due(remote: Tenant, fake: FakeProvider) -> None:
    upload(remote, 3)
    work.take_turn(job_on(remote).pk)
    queue.deliver_due()
    assert set(File.objects.values_list("state", flat=True)) == {"deleted"}
    assert not fake.store("openai")


def test_a_cancelled_job_leaves_the_rest(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(acme, 3)
    job = job_on(acme)

    def cancels(file: File, *args: Any) -> str:
        words = actions.delete(file, *args)
        jobs.cancel(FileJob.objects.get(pk=job.pk), caller=caller(acme))
        return words

    monkeypatch.delitem(TOGETHER, JobKind.DELETE)
    monkeypatch.setitem(actions.ACTIONS, JobKind.DELETE, cancels)
    assert not work.take_turn(job.pk)
    job.refresh_from_db()
    assert (job.status, job.done_files, job.waiting_files) == (JobStatus.CANCELLED, 1, 2)
    assert len(acme.api.get("/files").json()["data"]) == 2
    with pytest.raises(InvalidRequestError, match="over already"):
        jobs.cancel(job, caller=caller(acme))


def test_expiry_is_set_on_all(acme: Tenant) -> None:
    upload(acme, 2)
    when = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    work.take_turn(job_on(acme, JobKind.EXPIRE, expires_at=when.isoformat()).pk)
    assert set(File.objects.values_list("expires_at", flat=True)) == {when}


def test_providers_are_asked_for_all(remote: Tenant, fake: FakeProvider) -> None:
    there, gone = upload(remote, 2)
    fake.remove_file("openai", gone)
    job = job_on(remote, JobKind.RECHECK)
    work.take_turn(job.pk)
    details = dict(job.items.values_list("file_id", "detail"))
    assert details[there] == "OpenAI has it, status processed"
    assert "does not show it" in details[gone]


def test_the_oldest_are_freed_until_it_is_enough(acme: Tenant, other: Tenant) -> None:
    for number, tenant in enumerate((acme, other, acme, other)):
        with time_machine.travel(timezone.now() - timedelta(days=10 - number), tick=True):
            tenant.api.create(content=b"x" * 10)
    held = File.objects.order_by("indexed_at").first()
    assert held is not None
    holds.hold_files([held], reason="case 17", caller=system_caller(held.organization_id))
    both = [acme.organization, other.organization]
    second, third, fourth = File.objects.order_by("indexed_at")[1:]
    assert set(choice.oldest(both, FileFilters(), 15)) == {second, third}
    assert set(choice.oldest(both, FileFilters(), 20)) == {second, third}
    assert set(choice.oldest(both, FileFilters(), 1_000)) == {second, third, fourth}
    assert set(choice.oldest([acme.organization], FileFilters(), 1)) == {third}
    assert not choice.oldest(both, FileFilters(purpose="batch"), 1)
    found = choice.summary(choice.oldest(both, FileFilters(), 1_000))
    shares = {share.organization.name: (share.files, share.bytes) for share in found.shares}
    assert shares == {"acme": (1, 10), "other": (2, 20)}


def test_more_than_a_job_takes_is_refused(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(acme, 3)
    monkeypatch.setattr(jobs, "MAX_FILES", 2)
    with pytest.raises(InvalidRequestError, match="narrow the filter"):
        job_on(acme)
    assert not FileJob.objects.exists() and not FileJobItem.objects.exists()


def test_jobs_that_wait_are_bounded(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_OPEN", 1)
    upload(acme, 1)
    job = job_on(acme)
    with pytest.raises(ConflictError, match="not done yet"):
        job_on(acme)
    work.take_turn(job.pk)
    assert job_on(acme).pk


def test_a_report_outlives_the_file_and_not_its_month(acme: Tenant) -> None:
    (file_id,) = upload(acme, 1)
    job = job_on(acme)
    work.take_turn(job.pk)
    File.objects.all().delete()
    assert jobs.forget_jobs() == 0
    assert results(job) == {file_id: "done"}
    FileJob.objects.update(finished_at=timezone.now() - jobs.KEPT - timedelta(minutes=1))
    assert jobs.forget_jobs() == 3
    assert not FileJobItem.objects.exists() and not FileJob.objects.exists()


def exported(job: FileJob) -> list[str]:
    return [record["id"] for record in exports.records_of(FileJob.objects.get(pk=job.pk))]


def test_an_export_has_each_file_as_it_is_listed(acme: Tenant) -> None:
    ids = upload(acme, 3)
    job = job_on(acme, JobKind.EXPORT)
    assert not work.take_turn(job.pk)
    assert exported(job) == ids
    files = File.objects.select_related("organization", "account__organization").order_by("pk")
    assert list(exports.records_of(FileJob.objects.get(pk=job.pk))) == [file_record(file) for file in files]
    assert results(job) == dict.fromkeys(ids, "done")


def test_an_export_that_breaks_off_goes_on_and_has_each_file_once(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = upload(acme, 5)
    job = job_on(acme, JobKind.EXPORT)
    monkeypatch.setattr(pace, "_MOST", 2)
    monkeypatch.setattr(pace, "_LEAST", 2)
    seen = []
    write = exports.write

    def breaks(job: FileJob, files: Sequence[File]) -> None:
        write(job, files)
        seen.append(files)
        if len(seen) in (2, 3):  # the group, and the first of it alone
            raise OperationalError("the database is away")

    monkeypatch.setattr(exports, "write", breaks)
    with pytest.raises(OperationalError):
        work.take_turn(job.pk)
    assert sorted(results(job).values()) == ["", "", "", "done", "done"]
    with pytest.raises(ConflictError, match="not done"):
        exports.records_of(job)
    FileJob.objects.update(lease_expires_at=None)
    work.take_turn(job.pk)
    assert exported(job) == ids


def test_what_may_be_anothers_is_not_exported(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    withheld, shown = upload(acme, 2)
    job = job_on(acme, JobKind.EXPORT)
    File.objects.filter(file_id=withheld).update(is_withheld=True)
    do = TOGETHER[JobKind.EXPORT].do
    seen = []

    def fails_once(job: FileJob, files: Sequence[File], asked: Caller) -> Any:
        seen.append(files)
        if len(seen) == 1:
            raise OperationalError("deadlock detected")
        return do(job, files, asked)

    monkeypatch.setitem(TOGETHER, JobKind.EXPORT, TOGETHER[JobKind.EXPORT]._replace(do=fails_once))
    work.take_turn(job.pk)
    assert exported(job) == [shown]
    assert results(job) == {withheld: "refused", shown: "done"}


def test_an_export_goes_before_its_report(acme: Tenant) -> None:
    upload(acme, 2)
    done, cancelled = job_on(acme, JobKind.EXPORT), job_on(acme, JobKind.EXPORT)
    for job in (done, cancelled):
        work.take_turn(job.pk)
    FileJob.objects.filter(pk=cancelled.pk).update(status=JobStatus.CANCELLED)
    assert jobs.forget_jobs() == 1
    assert exported(done)
    FileJob.objects.update(finished_at=timezone.now() - exports.KEPT - timedelta(minutes=1))
    with pytest.raises(ConflictError, match="more than 3 days ago"):
        exported(done)
    assert jobs.forget_jobs() == 1
    assert not ExportedChunk.objects.exists()
    assert results(done)


def test_an_export_of_an_organization_that_is_gone_is_nobodys(acme: Tenant, other: Tenant) -> None:
    upload(acme, 1)
    upload(other, 1)
    job = jobs.create(Order(JobKind.EXPORT, "all", {}), File.objects.all(), caller=Caller(0))
    work.take_turn(job.pk)
    assert len(exported(job)) == 2
    FileJobPart.objects.filter(organization=other.organization).delete()
    with pytest.raises(ConflictError):
        exported(job)
