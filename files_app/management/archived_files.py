"""The subcommand of `manage.py files` that takes many files along as one archive."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from django.core.management.base import CommandError

from files_app.management.arguments import add_account, add_organization, named_or_read
from files_app.management.base import GroupCommand, command_caller
from files_app.management.local_files import complete_file, write_chunks
from files_app.management.output import counted, printable
from files_app.management.references import named_file
from files_app.services.reading.archives import MAX_FILES, Archive, archive_of
from files_app.words import short_bytes


class ArchivedFilesCommand(GroupCommand):
    """Declares `archive`."""

    def declare_archive(self) -> None:
        """Declare the subcommand."""
        parser = self.subcommand(
            "archive",
            self.archive,
            text=f"Download files as one tar archive, at most {MAX_FILES:,}. It gets its name only when it "
            "is complete. Files whose exact size is not known are left out, and named in it.",
            examples="""
                manage.py files archive file-abc123 file-def456 --output case-17.tar
                manage.py files list --organization acme --purpose batch --ids | \
manage.py files archive - --output batches.tar
                manage.py files archive file-abc123 file-def456 --output - | tar -tf -
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="+", help="ids; - reads them from standard input")
        parser.add_argument(
            "-o",
            "--output",
            metavar="PATH",
            required=True,
            help="a file of this host, or - for standard output",
        )
        parser.add_argument("--force", action="store_true", help="replace a file that is there already")
        add_organization(parser)
        add_account(parser)

    def archive(self, arguments: Namespace) -> None:
        """Save or print the archive."""
        if arguments.output == "-" and arguments.json:
            raise CommandError("--json and --output - both want standard output.", returncode=2)
        archive = archive_of(named_file(name, arguments) for name in named_or_read(arguments.files))
        organizations = {file.organization_id for file, _ in archive.files}
        only = organizations.pop() if len(organizations) == 1 else None
        caller = command_caller(only)
        with self.progress("archive", archive.length, in_bytes=True) as progress:
            if arguments.output == "-":
                write_chunks(archive.open(caller=caller), sys.stdout.buffer, on_bytes=progress.advance)
            else:
                with complete_file(Path(arguments.output), overwrite=arguments.force) as target:
                    write_chunks(archive.open(caller=caller), target, on_bytes=progress.advance)
        self._tell_archive(archive, arguments)

    def _tell_archive(self, archive: Archive, arguments: Namespace) -> None:
        left_out = [{"id": file.file_id, "reason": reason} for file, reason in archive.left_out]
        for each in left_out:
            self.say(f"left out {each['id']}: {each['reason']}")
        if arguments.json:
            facts = {"files": len(archive.files), "bytes": archive.length, "left_out": left_out}
            self.write_json({"path": arguments.output, **facts})
        elif arguments.output != "-":
            holds = f"{counted(len(archive.files), 'file')}, {short_bytes(archive.length)}"
            self.stdout.write(printable(f"{arguments.output}  {holds}"))
