"""`manage.py files list|show|check|upload|download|delete|expire|recheck|restore|purge|hold|...`."""

from __future__ import annotations

import sys
from argparse import Namespace

from django.core.management.base import CommandError

from files_app.management.archived_files import ArchivedFilesCommand
from files_app.management.arguments import add_account, add_organization
from files_app.management.base import command_caller
from files_app.management.batch_files import BatchFilesCommand
from files_app.management.bulk_files import BulkFilesCommand
from files_app.management.changed_files import ChangedFilesCommand
from files_app.management.hold_files import HoldFilesCommand
from files_app.management.listed_files import ListedFilesCommand
from files_app.management.local_files import download_to_disk, download_to_stream, target_path
from files_app.management.output import printable, write_facts
from files_app.management.references import named_file
from files_app.management.result_files import ResultFilesCommand
from files_app.management.trash_files import TrashFilesCommand
from files_app.management.uploaded_files import UploadedFilesCommand
from files_app.management.verify_files import VerifyFilesCommand
from files_app.services.index.file_objects import file_record
from files_app.web.representation import copy_record
from files_app.words import short_bytes


class Command(
    ListedFilesCommand,
    UploadedFilesCommand,
    ChangedFilesCommand,
    BatchFilesCommand,
    ResultFilesCommand,
    VerifyFilesCommand,
    HoldFilesCommand,
    TrashFilesCommand,
    BulkFilesCommand,
    ArchivedFilesCommand,
):
    """Files of every organization, from the shell."""

    help = (
        "List, show, check, upload, download, delete, restore, purge, hold, release, verify, render and "
        "convert files of every organization, set when they expire, ask providers for them, and do so to "
        "all that match."
    )
    examples = """
        manage.py files list --organization acme --failed
        manage.py files upload batch.jsonl --organization acme --purpose batch
        manage.py files download file-abc123
        manage.py files SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self.declare_list()
        self._declare_show()
        self.declare_check()
        self.declare_upload()
        self._declare_download()
        self.declare_changes()
        self.declare_trash()
        self.declare_holds()
        self.declare_bulk()
        self.declare_archive()
        self.declare_verify()
        self.declare_render()
        self.declare_convert()

    # -- show --------------------------------------------------------------------------------------

    def _declare_show(self) -> None:
        parser = self.subcommand(
            "show",
            self.show,
            text="Show all that is known about a file, also about one that failed or is gone.",
            examples="""
                manage.py files show file-abc123
                manage.py files show s3://bucket/files/org-1/file-abc123.jsonl
                manage.py files show file-abc123 --organization acme --json
            """,
        )
        parser.add_argument(
            "file", metavar="ID", help="the file's id, its s3:// or gs:// URI, or the provider's id"
        )
        add_organization(parser)
        add_account(parser)

    def show(self, arguments: Namespace) -> None:
        """Print one file."""
        file = named_file(arguments.file, arguments)
        copies = list(file.copies.select_related("account__organization").order_by("pk"))
        facts = file_record(file) | {"copies": [copy_record(copy) for copy in copies]}
        if arguments.json:
            self.write_json(facts)
            return
        shown = {name: value for name, value in facts.items() if name not in {"metadata", "copies"}}
        shown |= {f"metadata {name}": value for name, value in file.metadata.items()}
        write_facts(self.stdout, shown.items())
        for copy in copies:
            error = f", {copy.last_error}" if copy.last_error else ""
            words = f"{copy.state} at {copy.account.full_name} as {copy.remote_id or 'unknown'}{error}"
            self.stdout.write(f"copy  {printable(words)}")

    # -- download ----------------------------------------------------------------------------------

    def _declare_download(self) -> None:
        parser = self.subcommand(
            "download",
            self.download,
            text="Download a file. It gets its name only when it is complete and its checksum fits.",
            examples="""
                manage.py files download file-abc123
                manage.py files download file-abc123 --output results.jsonl --force
                manage.py files download file-abc123 --output - | jq .custom_id
            """,
        )
        parser.add_argument("file", metavar="ID")
        parser.add_argument(
            "-o",
            "--output",
            metavar="PATH",
            default=".",
            help="a file or directory of this host, or - for standard output; default: the file's own name",
        )
        parser.add_argument("--force", action="store_true", help="replace a file that is there already")
        add_organization(parser)
        add_account(parser)

    def download(self, arguments: Namespace) -> None:
        """Save or print a file's bytes."""
        file = named_file(arguments.file, arguments)
        caller = command_caller(file.organization_id)
        with self.progress(file.filename or file.file_id, file.bytes, in_bytes=True) as progress:
            if arguments.output == "-":
                if arguments.json:
                    raise CommandError("--json and --output - both want standard output.", returncode=2)
                download_to_stream(file, sys.stdout.buffer, caller=caller, on_bytes=progress.advance)
                return
            path = target_path(file, arguments.output)
            saved = download_to_disk(
                file, path, caller=caller, overwrite=arguments.force, on_bytes=progress.advance
            )
        if arguments.json:
            facts = {"bytes": saved.bytes, "sha256": saved.sha256, "is_verified": saved.is_verified}
            self.write_json({"id": file.file_id, "path": str(path), **facts})
            return
        checked = "as uploaded" if saved.is_verified else "nobody knows what its checksum should be"
        self.stdout.write(printable(f"{path}  {short_bytes(saved.bytes)}, {checked}"))
