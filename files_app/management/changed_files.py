"""The subcommands of `manage.py files` that change stored files one by one: delete, expire, recheck."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from django.core.management.base import CommandError

from files_app.exceptions import GatewayError
from files_app.management.arguments import (
    add_account,
    add_dry_run,
    add_organization,
    add_yes,
    moment,
    named_or_read,
)
from files_app.management.base import USAGE_ERROR, GroupCommand, command_caller
from files_app.management.output import counted, printable
from files_app.management.references import named_file
from files_app.models import DeletedReason, File
from files_app.models.states import DELETABLE_STATES
from files_app.services.deletes.expiry import set_expiry
from files_app.services.deletes.outbox import delete_file
from files_app.services.upstream.recheck import recheck_file
from providers.exceptions import ProviderConfigurationError, ProviderError


@dataclass(frozen=True, slots=True)
class _Result:
    """How it went for one file, in words."""

    file: File
    ok: bool
    detail: str


class ChangedFilesCommand(GroupCommand):
    """Declares `delete`, `expire` and `recheck`."""

    def declare_changes(self) -> None:
        """Declare the subcommands."""
        self._declare_delete()
        self._declare_expire()
        self._declare_recheck()

    # -- delete ------------------------------------------------------------------------------------

    def _declare_delete(self) -> None:
        parser = self.subcommand(
            "delete",
            self.delete,
            text="Delete files. They are gone for clients at once; the worker tells the providers, where the "
            "organization has a trash when their days there are over.",
            examples="""
                manage.py files delete file-abc123
                manage.py files delete file-abc123 file-def456 --yes
                manage.py files list --older-than 90d --ids | manage.py files delete - --yes
                manage.py files delete file-abc123 --dry-run
            """,
        )
        _add_files(parser)
        add_yes(parser)
        add_dry_run(parser)

    def delete(self, arguments: Namespace) -> None:
        """Delete each file and report each."""
        files = _files(arguments)
        if not arguments.dry_run:
            names = ", ".join(
                f"{file.filename or file.file_id} of {file.organization.name}" for file in files[:5]
            )
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            self.confirm(f"Delete {names}{more}?", arguments)
        results = [_deleted(file, dry_run=arguments.dry_run) for file in files]
        self._tell(results, arguments, member="deleted", failure="could not be deleted")

    # -- expire ------------------------------------------------------------------------------------

    def _declare_expire(self) -> None:
        parser = self.subcommand(
            "expire",
            self.expire,
            text="Set when the gateway deletes files. A provider that has its own time may do so earlier.",
            examples="""
                manage.py files expire file-abc123 --at 7d
                manage.py files expire file-abc123 --at 2026-12-31T18:00
                manage.py files expire file-abc123 --never
                manage.py files list --key ci --ids | manage.py files expire - --at 30d
            """,
        )
        _add_files(parser)
        when = parser.add_mutually_exclusive_group(required=True)
        when.add_argument("--at", type=moment, metavar="TIME", help="such as 7d from now, or 2026-12-31")
        when.add_argument("--never", action="store_true", help="keep them until somebody deletes them")
        add_dry_run(parser)

    def expire(self, arguments: Namespace) -> None:
        """Set the expiry of each file and report each."""
        words = f"expires {arguments.at:%Y-%m-%d %H:%M} UTC" if arguments.at else "never expires"

        def run(file: File) -> str:
            if not arguments.dry_run:
                set_expiry(file, arguments.at, caller=command_caller(file.organization_id))
            return f"would be set: {words}" if arguments.dry_run else words

        results = [_tried(file, run) for file in _files(arguments)]
        self._tell(results, arguments, member="set", failure="could not be changed")

    # -- recheck -----------------------------------------------------------------------------------

    def _declare_recheck(self) -> None:
        parser = self.subcommand(
            "recheck",
            self.recheck,
            text="Ask each file's provider whether it still has it. One that is missed twice becomes lost, a "
            "lost one that is there again becomes available.",
            examples="""
                manage.py files recheck file-abc123
                manage.py files list --state lost --ids | manage.py files recheck -
            """,
        )
        _add_files(parser)

    def recheck(self, arguments: Namespace) -> None:
        """Re-check each file and report each."""
        files = _files(arguments)
        results = []
        with self.progress("asking providers", len(files)) as progress:
            for file in files:
                results.append(
                    _tried(file, lambda file: recheck_file(file, caller=command_caller(file.organization_id)))
                )
                progress.advance()
        self._tell(results, arguments, member="checked", failure="could not be checked")

    # -- what they share ---------------------------------------------------------------------------

    def _tell(self, results: list[_Result], arguments: Namespace, *, member: str, failure: str) -> None:
        if arguments.json:
            rows = [{"id": row.file.file_id, member: row.ok, "detail": row.detail} for row in results]
            self.write_json(rows)
        else:
            for row in results:
                self.stdout.write(f"{row.file.file_id}  {printable(row.detail)}")
        failed = sum(not row.ok for row in results)
        if failed and not getattr(arguments, "dry_run", False):
            raise CommandError(f"{counted(failed, 'file')} of {len(results)} {failure}.")


def _add_files(parser: ArgumentParser) -> None:
    parser.add_argument("files", metavar="ID", nargs="+", help="- reads ids from standard input, one a line")
    add_organization(parser)
    add_account(parser)


def _files(arguments: Namespace) -> list[File]:
    references = named_or_read(arguments.files)
    if not references:
        raise CommandError("Standard input names no file.", returncode=USAGE_ERROR)
    return [named_file(reference, arguments) for reference in references]


def _tried(file: File, run: Callable[[File], str]) -> _Result:
    try:
        return _Result(file, True, run(file))
    except (GatewayError, ProviderError) as exc:
        return _Result(file, False, exc.message)
    except ProviderConfigurationError as exc:
        return _Result(file, False, str(exc))


def _deleted(file: File, *, dry_run: bool) -> _Result:
    if file.state not in DELETABLE_STATES:
        return _Result(file, False, f"is {file.state} already")
    if file.is_withheld:
        return _Result(file, False, "may be another organization's: confirm its account first")
    if dry_run:
        return _Result(file, False, f"would be deleted at {file.account.full_name}")

    def run(file: File) -> str:
        delete_file(file, caller=command_caller(file.organization_id), reason=DeletedReason.ADMIN)
        if file.trash_ends_at is not None:
            return f"in the trash until {file.trash_ends_at:%Y-%m-%d %H:%M} UTC"
        return f"deleted; {file.account.full_name} follows"

    return _tried(file, run)
