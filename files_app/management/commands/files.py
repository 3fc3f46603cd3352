"""`manage.py files list|show|check|upload|download|delete|restore|purge|hold|...`: see its --help."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from files_app.exceptions import GatewayError
from files_app.management.arguments import (
    MAX_METADATA,
    add_account,
    add_dry_run,
    add_model,
    add_organization,
    add_yes,
    count,
    pair,
)
from files_app.management.base import command_caller
from files_app.management.batch_files import BatchFilesCommand
from files_app.management.hold_files import HoldFilesCommand
from files_app.management.local_files import (
    LocalUpload,
    check_upload,
    download_to_disk,
    download_to_stream,
    size_on_disk,
    target_path,
    upload_from_disk,
)
from files_app.management.output import counted, printable, write_facts, write_json_list, write_table
from files_app.management.references import named_file, organization_named, selected_files
from files_app.management.result_files import ResultFilesCommand
from files_app.management.trash_files import TrashFilesCommand
from files_app.management.verify_files import VerifyFilesCommand
from files_app.models import DeletedReason, File, FileState
from files_app.models.states import DELETABLE_STATES
from files_app.services.deletes.outbox import delete_file
from files_app.web.representation import copy_record, file_record
from files_app.words import short_bytes
from providers.exceptions import ProviderError
from providers.objects import INPUT_PURPOSES

_LISTED_ROWS = 50


class Command(BatchFilesCommand, ResultFilesCommand, VerifyFilesCommand, HoldFilesCommand, TrashFilesCommand):
    """Files of every organization, from the shell."""

    help = (
        "List, show, check, upload, download, delete, restore, purge, hold, release, verify, render and "
        "convert files of every organization."
    )
    examples = """
        manage.py files list --organization acme --state failed
        manage.py files upload batch.jsonl --organization acme --purpose batch
        manage.py files download file-abc123
        manage.py files SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self._declare_list()
        self._declare_show()
        self.declare_check()
        self._declare_upload()
        self._declare_download()
        self._declare_delete()
        self.declare_trash()
        self.declare_holds()
        self.declare_verify()
        self.declare_render()
        self.declare_convert()

    # -- list and show -----------------------------------------------------------------------------

    def _declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_files,
            text="List files, newest first. Shows what the index knows; no provider is asked.",
            examples="""
                manage.py files list
                manage.py files list --organization acme --account openai --purpose batch
                manage.py files list --state failed --limit 10
                manage.py files list --limit 0 --json > files.json
            """,
        )
        add_organization(parser)
        add_account(parser)
        parser.add_argument(
            "--state",
            choices=[*FileState.values, "all"],
            default=FileState.AVAILABLE.value,
            help="default: available",
        )
        parser.add_argument("--purpose", help="only files of this purpose")
        parser.add_argument("--name", help="only files whose name contains this")
        parser.add_argument(
            "--limit", type=count, default=_LISTED_ROWS, help=f"how many; 0 for all; default {_LISTED_ROWS}"
        )

    def list_files(self, arguments: Namespace) -> None:
        """Print a page of the index."""
        files = selected_files(arguments)
        if arguments.state != "all":
            files = files.filter(state=arguments.state)
        if arguments.purpose:
            files = files.filter(purpose=arguments.purpose)
        if arguments.name:
            files = files.filter(filename__icontains=arguments.name)
        files = files.select_related("organization", "account__organization").newest_first()
        rows = (files[: arguments.limit] if arguments.limit else files).iterator(chunk_size=1_000)
        if arguments.json:
            write_json_list(self.stdout, map(file_record, rows))
            return
        headers = ["ID", "NAME", "SIZE", "PURPOSE", "STATE", "ACCOUNT", "ORGANIZATION", "CREATED"]
        number = write_table(self.stdout, headers, map(_as_row, rows))
        if not number:
            self.say("No file matches.")
        elif number == arguments.limit:
            self.say(f"The newest {number} are shown; --limit shows more.")

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

    # -- upload and download -----------------------------------------------------------------------

    def _declare_upload(self) -> None:
        parser = self.subcommand(
            "upload",
            self.upload,
            text="Upload a file of this host to a provider, with the checks and the quota of the API.",
            examples="""
                manage.py files upload batch.jsonl --organization acme --purpose batch
                manage.py files upload data.csv --organization acme --account openai --metadata team=ml
                manage.py files upload big.jsonl --organization acme --expires-after 86400 --dry-run
            """,
        )
        parser.add_argument("path", type=Path, metavar="PATH")
        add_organization(parser, required=True)
        parser.add_argument("--account", metavar="NAME", help="default: the organization's default account")
        parser.add_argument(
            "--purpose", choices=INPUT_PURPOSES, default="user_data", help="default: user_data"
        )
        parser.add_argument("--name", default="", help="the file's name; default: the last part of PATH")
        parser.add_argument("--content-type", default="application/octet-stream", metavar="TYPE")
        parser.add_argument("--expires-after", type=count, metavar="SECONDS", help="3600 to 2592000")
        parser.add_argument("--metadata", type=pair, action="append", default=[], metavar="KEY=VALUE")
        add_model(parser)
        add_dry_run(parser)

    def upload(self, arguments: Namespace) -> None:
        """Upload, or say where the file would go."""
        if len(arguments.metadata) > MAX_METADATA[0]:
            raise CommandError(f"A file has at most {MAX_METADATA[0]} metadata entries.", returncode=2)
        organization = organization_named(arguments.organization)
        upload = LocalUpload(
            path=arguments.path,
            organization=organization,
            purpose=arguments.purpose,
            account_name=arguments.account,
            filename=arguments.name,
            content_type=arguments.content_type,
            expires_after_seconds=arguments.expires_after,
            metadata=dict(arguments.metadata),
            model=arguments.model,
        )
        if arguments.dry_run:
            self._show_upload_plan(upload, arguments)
            return
        size = size_on_disk(upload.path)
        with self.progress(upload.path.name, size, in_bytes=True) as progress:
            file = upload_from_disk(upload, caller=command_caller(organization.pk), on_bytes=progress.advance)
        if arguments.json:
            self.write_json(file_record(file))
        else:
            self.stdout.write(
                printable(
                    f"{file.file_id}  {file.filename}  {short_bytes(file.bytes)} at {file.account.name}"
                )
            )

    def _show_upload_plan(self, upload: LocalUpload, arguments: Namespace) -> None:
        account, size = check_upload(upload)
        if arguments.json:
            self.write_json({"dry_run": True, "account": account.full_name, "bytes": size})
        else:
            self.stdout.write(
                printable(f"would upload {upload.path} ({short_bytes(size)}) to {account.full_name}")
            )

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
                manage.py files delete file-abc123 --dry-run
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="+")
        add_organization(parser)
        add_account(parser)
        add_yes(parser)
        add_dry_run(parser)

    def delete(self, arguments: Namespace) -> None:
        """Delete each file and report each."""
        files = [named_file(reference, arguments) for reference in dict.fromkeys(arguments.files)]
        if not arguments.dry_run:
            names = ", ".join(
                f"{file.filename or file.file_id} of {file.organization.name}" for file in files[:5]
            )
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            self.confirm(f"Delete {names}{more}?", arguments)
        results = [(file, *_delete(file, dry_run=arguments.dry_run)) for file in files]
        if arguments.json:
            self.write_json(
                [{"id": file.file_id, "deleted": ok, "detail": detail} for file, ok, detail in results]
            )
        else:
            for file, _, detail in results:
                self.stdout.write(f"{file.file_id}  {printable(detail)}")
        failed = sum(not ok for _, ok, _ in results)
        if failed and not arguments.dry_run:
            raise CommandError(f"{counted(failed, 'file')} of {len(files)} could not be deleted.")


def _delete(file: File, *, dry_run: bool) -> tuple[bool, str]:
    """Delete a file and return whether it is gone, and how that went in words."""
    if file.state not in DELETABLE_STATES:
        return False, f"is {file.state} already"
    if dry_run:
        return False, f"would be deleted at {file.account.full_name}"
    try:
        delete_file(file, caller=command_caller(file.organization_id), reason=DeletedReason.ADMIN)
    except (GatewayError, ProviderError) as exc:
        return False, exc.message
    if file.trash_ends_at is not None:
        return True, f"in the trash until {file.trash_ends_at:%Y-%m-%d %H:%M} UTC"
    return True, f"deleted; {file.account.full_name} follows"


def _as_row(file: File) -> tuple[Any, ...]:
    return (
        file.file_id,
        file.filename,
        short_bytes(file.bytes),
        file.purpose,
        file.state,
        file.account.full_name,
        file.organization.name,
        file.created_at,
    )
