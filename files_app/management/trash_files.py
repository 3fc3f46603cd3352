"""The subcommands of `manage.py files` for the trash."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from django.core.management.base import CommandError

from files_app.exceptions import GatewayError
from files_app.management.arguments import add_account, add_dry_run, add_organization, add_yes
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import counted, printable
from files_app.management.references import named_file
from files_app.models import File, FileState
from files_app.services.deletes import purging, trash
from files_app.services.index.callers import Caller


class TrashFilesCommand(GroupCommand):
    """Declares `restore` and `purge`."""

    def declare_trash(self) -> None:
        """Declare the subcommands."""
        restore = self.subcommand(
            "restore",
            self.restore,
            text="Bring files back out of the trash. Clients have them again, under the ids that they had.",
            examples="""
                manage.py files list --state trashed
                manage.py files restore file-abc123
                manage.py files restore file-abc123 file-def456 --organization acme --dry-run
            """,
        )
        purge = self.subcommand(
            "purge",
            self.purge,
            text="Delete files in the trash for good, before their time there is over.",
            examples="""
                manage.py files purge file-abc123
                manage.py files purge file-abc123 --yes
            """,
        )
        for parser in (restore, purge):
            parser.add_argument("files", metavar="ID", nargs="+")
            add_organization(parser)
            add_account(parser)
            add_dry_run(parser)
        add_yes(purge)

    def restore(self, arguments: Namespace) -> None:
        """Restore each file and report each."""
        self._each(arguments, _restored, "restored", would="would be restored")

    def purge(self, arguments: Namespace) -> None:
        """Delete each file for good and report each."""
        if not arguments.dry_run:
            number = counted(len(set(arguments.files)), "file")
            self.confirm(f"Delete {number} for good?", arguments)
        self._each(arguments, _purged, "deleted for good", would="would be deleted for good")

    def _each(
        self, arguments: Namespace, act: Callable[[File, Caller], None], done: str, *, would: str
    ) -> None:
        files = [named_file(reference, arguments) for reference in dict.fromkeys(arguments.files)]
        results = []
        for file in files:
            ok, detail = file.state == FileState.TRASHED, would
            if not ok:
                detail = f"is {file.state}, not in the trash"
            elif not arguments.dry_run:
                ok, detail = _outcome(file, act, done)
            results.append((file, ok, detail))
        if arguments.json:
            self.write_json(
                [{"id": file.file_id, "ok": ok, "detail": detail} for file, ok, detail in results]
            )
        else:
            for file, _, detail in results:
                self.stdout.write(f"{file.file_id}  {printable(detail)}")
        if failed := sum(not ok for _, ok, _ in results):
            raise CommandError(f"{counted(failed, 'file')} of {len(files)} could not be {done}.")


def _outcome(file: File, act: Callable[[File, Caller], None], done: str) -> tuple[bool, str]:
    try:
        act(file, command_caller(file.organization_id))
    except GatewayError as exc:
        return False, exc.message
    return True, done


def _restored(file: File, caller: Caller) -> None:
    trash.restore(file, caller=caller)


def _purged(file: File, caller: Caller) -> None:
    purging.purge(file, caller=caller)
