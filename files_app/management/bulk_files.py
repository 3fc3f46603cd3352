"""The subcommands of `manage.py files` for many files at once: free, bulk, jobs, report, cancel."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import CommandError

from files_app.exceptions import InvalidRequestError
from files_app.management.arguments import (
    add_account,
    add_dry_run,
    add_organization,
    add_yes,
    count,
    moment,
    size,
)
from files_app.management.base import USAGE_ERROR, GroupCommand, command_caller
from files_app.management.hold_files import add_conditions, filters_of
from files_app.management.output import counted, printable, write_table
from files_app.management.references import organization_named, scope_of
from files_app.models import AuditAction, DeletedReason, FileJob, FileState, JobKind
from files_app.models.files import FileQuerySet
from files_app.models.states import DELETABLE_STATES
from files_app.services.bulk import choice, exports, jobs, report, work
from files_app.services.bulk.choice import Summary
from files_app.services.index import audit
from files_app.services.retention.filters import as_json, in_words, matching_files
from files_app.words import exact_bytes, short_bytes

_POLL_SECONDS = 0.5
_NEWEST = 50
_STATES = {
    JobKind.DELETE: DELETABLE_STATES,
    JobKind.EXPIRE: (FileState.AVAILABLE,),
    JobKind.RECHECK: (FileState.AVAILABLE, FileState.LOST),
    JobKind.EXPORT: tuple(FileState.values),
}


class BulkFilesCommand(GroupCommand):
    """Declares `free`, `bulk`, `jobs`, `report` and `cancel`."""

    def declare_bulk(self) -> None:
        """Declare the subcommands."""
        self._declare_free()
        self._declare_bulk()
        self._declare_jobs()
        self._declare_report()
        self._declare_exported()
        self._declare_cancel()

    # -- free --------------------------------------------------------------------------------------

    def _declare_free(self) -> None:
        parser = self.subcommand(
            "free",
            self.free,
            text="Delete the oldest files until so many bytes are free. Only files that count for their "
            "organization's quota, and none on legal hold; where there is a trash, they go there first.",
            examples="""
                manage.py files free --bytes 20GB --purpose user_data --organization acme --oldest --dry-run
                manage.py files free --bytes 20GB --organization acme --organization beta --yes
            """,
        )
        parser.add_argument(
            "--bytes", type=size, required=True, metavar="SIZE", help="such as 20GB or 500MiB"
        )
        parser.add_argument(
            "--organization",
            metavar="NAME",
            action="append",
            required=True,
            help="of this organization; may be given several times",
        )
        parser.add_argument("--oldest", action="store_true", help="the oldest first: there is no other order")
        parser.add_argument("--account", metavar="NAME", help="only at provider accounts of this name")
        add_conditions(parser)
        _add_run(parser)

    def free(self, arguments: Namespace) -> None:
        """Show what would go, ask, and make a job of it."""
        organizations = [organization_named(name) for name in dict.fromkeys(arguments.organization)]
        filters = filters_of(Namespace(**{**vars(arguments), "organization": None}))
        files = choice.oldest(organizations, filters, arguments.bytes)
        conditions = in_words(as_json(filters))
        of = f" of {conditions}" if conditions else ""
        described = f"the oldest files{of}, until {exact_bytes(arguments.bytes)} are free"
        order = jobs.Order(JobKind.DELETE, described, {"reason": DeletedReason.ADMIN.value})
        self._order(order, files, arguments)

    # -- bulk --------------------------------------------------------------------------------------

    def _declare_bulk(self) -> None:
        parser = self.subcommand(
            "bulk",
            self.bulk,
            text="Do one thing to all files of an organization that match: delete them, set their expiry, "
            "ask their providers for them, or export what is known of them. It takes at least one condition.",
            examples="""
                manage.py files bulk delete --organization acme --metadata user=42 --dry-run
                manage.py files bulk delete --organization acme --metadata user=42 --erase --yes
                manage.py files bulk expire --at 30d --organization acme --purpose batch --yes
                manage.py files bulk recheck --organization acme --created-before 2026-06-01 --yes
                manage.py files bulk export --organization acme --purpose batch --yes
            """,
        )
        parser.add_argument("what", choices=[kind.value for kind in JobKind])
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--at", type=moment, metavar="TIME", help="for expire: such as 7d, or 2026-12-31")
        when.add_argument("--never", action="store_true", help="for expire: until somebody deletes them")
        parser.add_argument(
            "--erase", action="store_true", help="for delete: skip the trash, so that nobody restores them"
        )
        add_organization(parser, required=True)
        add_account(parser)
        add_conditions(parser)
        _add_run(parser)

    def bulk(self, arguments: Namespace) -> None:
        """Show what matches, ask, and make a job of it."""
        organization, _ = scope_of(arguments)
        if organization is None:
            raise CommandError("Name an organization.", returncode=USAGE_ERROR)
        if (arguments.what == JobKind.EXPIRE) != bool(arguments.at or arguments.never):
            raise CommandError(
                "--at or --never goes with expire, and with nothing else.", returncode=USAGE_ERROR
            )
        if arguments.erase and arguments.what != JobKind.DELETE:
            raise CommandError("--erase goes with delete, and with nothing else.", returncode=USAGE_ERROR)
        filters = filters_of(arguments)
        wanted = as_json(filters)
        if not wanted:
            raise CommandError("Give at least one condition.", returncode=USAGE_ERROR)
        kind = JobKind(arguments.what)
        files = matching_files(organization, filters).filter(state__in=_STATES[kind], is_withheld=False)
        given: dict[str, Any] = {}
        if kind is JobKind.DELETE:
            given["reason"] = (DeletedReason.ERASED if arguments.erase else DeletedReason.ADMIN).value
        elif kind is JobKind.EXPIRE:
            given["expires_at"] = arguments.at.isoformat() if arguments.at else None
        self._order(jobs.Order(kind, in_words(wanted), given, wanted), files, arguments)

    # -- what both do ------------------------------------------------------------------------------

    def _order(self, order: jobs.Order, files: FileQuerySet, arguments: Namespace) -> None:
        found = choice.summary(files)
        if arguments.dry_run:
            self._tell_found(found, arguments)
            return
        if not found.files:
            self._tell_found(found, arguments)
            self.say("No file matches: there is nothing to do.")
            return
        of = ", ".join(f"{share.files} of {share.organization.name}" for share in found.shares)
        verb = JobKind(order.kind).label.capitalize()
        question = f"{verb} {counted(found.files, 'file')} ({short_bytes(found.bytes)}: {of})?"
        self.confirm(question, arguments)
        only = found.shares[0].organization.pk if len(found.shares) == 1 else None
        job = jobs.create(order, files.filter(pk__lte=found.up_to), caller=command_caller(only))
        if not arguments.no_wait:
            self._follow(job)
        self._tell_job(job, arguments)

    def _follow(self, job: FileJob) -> None:
        """Work on the job until it is over, or look on where a worker does."""
        with self.progress(str(job), job.files) as progress:
            seen = 0
            while job.is_open:
                is_elsewhere = not work.take_turn(job.pk)
                job.refresh_from_db()
                if is_elsewhere and job.is_open:
                    time.sleep(_POLL_SECONDS)
                done = job.files - job.waiting_files
                progress.advance(done - seen)
                seen = done

    def _tell_found(self, found: Summary, arguments: Namespace) -> None:
        if arguments.json:
            shares = [
                {"organization": share.organization.name, "files": share.files, "bytes": share.bytes}
                for share in found.shares
            ]
            facts = {"files": found.files, "bytes": found.bytes, "held": found.held, "organizations": shares}
            self.write_json({"dry_run": arguments.dry_run, **facts})
            return
        rows = [(each.organization.name, each.files, short_bytes(each.bytes)) for each in found.shares]
        if rows:
            write_table(self.stdout, ["ORGANIZATION", "FILES", "SIZE"], rows)
        self.stdout.write(f"{counted(found.files, 'file')}, {short_bytes(found.bytes)}")
        if found.held:
            self.say(f"{counted(found.held, 'file')} of them on legal hold, which will refuse.")

    def _tell_job(self, job: FileJob, arguments: Namespace) -> None:
        if arguments.json:
            self.write_json(job_record(job))
        else:
            done = f"{job.done_files} of {counted(job.files, 'file')} done, {short_bytes(job.done_bytes)}"
            refused = f", {job.refused_files} refused" if job.refused_files else ""
            self.stdout.write(printable(f"{job} is {job.status}: {done}{refused}"))
        if job.refused_files:
            raise CommandError(
                f"{counted(job.refused_files, 'file')} refused: `manage.py files report {job.pk}` says why."
            )

    # -- jobs, report, cancel ----------------------------------------------------------------------

    def _declare_jobs(self) -> None:
        self.subcommand(
            "jobs",
            self.list_jobs,
            text="List jobs on many files, newest first: what they do, for whom, and how far they are.",
            examples="""
                manage.py files jobs
                manage.py files jobs --json
            """,
        )

    def list_jobs(self, arguments: Namespace) -> None:
        """Print the newest jobs."""
        records = [job_record(job) for job in FileJob.objects.all()[:_NEWEST]]
        if arguments.json:
            self.write_json(records)
            return
        names = ["job", "kind", "for", "status", "files", "done", "refused", "by", "created_at"]
        headers = [name.upper().replace("_", " ") for name in names]
        if not write_table(self.stdout, headers, ([record[name] for name in names] for record in records)):
            self.say("No job.")

    def _declare_report(self) -> None:
        parser = self.subcommand(
            "report",
            self.report,
            text="Print what a job did to each file, as one line of JSON each.",
            examples="""
                manage.py files report 12
                manage.py files report 12 | jq -r 'select(.result == "refused") | .id'
            """,
        )
        _add_job(parser)

    def report(self, arguments: Namespace) -> None:
        """Print the report."""
        for record in report.records_of(_job(arguments)):
            self.stdout.write(json.dumps(record))

    def _declare_exported(self) -> None:
        parser = self.subcommand(
            "exported",
            self.exported,
            text="Print what an export wrote, as one line of JSON for each file.",
            examples="""
                manage.py files bulk export --organization acme --purpose batch --yes
                manage.py files exported 12 > files.jsonl
            """,
        )
        _add_job(parser)

    def exported(self, arguments: Namespace) -> None:
        """Print what a job exported, and write down that it was taken."""
        job = _job(arguments)
        rows = 0
        for record in exports.records_of(job):
            self.stdout.write(json.dumps(record, ensure_ascii=False))
            rows += 1
        about = {"object_type": "job", "object_id": job.public_id}
        audit.record(command_caller(), AuditAction.FILE_EXPORT, **about, rows=rows, format="jsonl")

    def _declare_cancel(self) -> None:
        parser = self.subcommand(
            "cancel",
            self.cancel,
            text="Cancel a job. What it has done stays done; the other files stay as they are.",
            examples="""
                manage.py files cancel 12
                manage.py files cancel 12 --json
            """,
        )
        _add_job(parser)

    def cancel(self, arguments: Namespace) -> None:
        """Cancel a job."""
        job = _job(arguments)
        jobs.cancel(job, caller=command_caller())
        if arguments.json:
            self.write_json(job_record(job))
        else:
            self.stdout.write(f"{job} is cancelled: {job.done_files} of {counted(job.files, 'file')} done")


def job_record(job: FileJob) -> dict[str, Any]:
    """Return a job as operators see it."""
    return {
        "job": job.pk,
        "id": job.public_id,
        "kind": job.kind,
        "for": job.described,
        "organizations": list(job.parts.values_list("organization__name", flat=True)),
        "status": job.status,
        "files": job.files,
        "bytes": job.bytes,
        "done": job.done_files,
        "done_bytes": job.done_bytes,
        "refused": job.refused_files,
        "by": job.actor,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }


def _job(arguments: Namespace) -> FileJob:
    job = FileJob.objects.filter(pk=arguments.job).first()
    if job is None:
        raise InvalidRequestError(f"There is no job {arguments.job}. `manage.py files jobs` lists them.")
    return job


def _add_job(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=count, help="its number: see `manage.py files jobs`")


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="leave the job to the worker")
    add_yes(parser)
    add_dry_run(parser)
