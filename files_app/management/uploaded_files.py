"""The subcommand of `manage.py files` that uploads what is on this host."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from files_app.exceptions import GatewayError
from files_app.management.arguments import (
    MAX_METADATA,
    add_dry_run,
    add_model,
    add_organization,
    expiry_seconds,
    pair,
)
from files_app.management.base import USAGE_ERROR, GroupCommand, command_caller
from files_app.management.local_files import (
    STANDARD_INPUT,
    LocalUpload,
    check_upload,
    size_on_disk,
    upload_from_disk,
)
from files_app.management.output import counted, printable
from files_app.management.references import organization_named
from files_app.services.index.file_objects import file_record
from files_app.words import short_bytes
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.objects import INPUT_PURPOSES


class UploadedFilesCommand(GroupCommand):
    """Declares `upload`."""

    def declare_upload(self) -> None:
        parser = self.subcommand(
            "upload",
            self.upload,
            text="Upload files of this host to a provider, with the checks and the quota of the API. One "
            "that fails does not keep the others; the exit code is 1 then.",
            examples="""
                manage.py files upload batch.jsonl --organization acme --purpose batch
                manage.py files upload data/*.csv --organization acme --account openai --metadata team=ml
                pg_dump shop | manage.py files upload - --organization acme --name shop.sql
                manage.py files upload big.jsonl --organization acme --expires-after 7d --dry-run
            """,
        )
        parser.add_argument("paths", type=Path, metavar="PATH", nargs="+", help="- is standard input")
        add_organization(parser, required=True)
        parser.add_argument("--account", metavar="NAME", help="default: the organization's default account")
        parser.add_argument(
            "--purpose", choices=INPUT_PURPOSES, default="user_data", help="default: user_data"
        )
        parser.add_argument("--name", default="", help="the file's name; default: the last part of PATH")
        parser.add_argument("--content-type", default="application/octet-stream", metavar="TYPE")
        parser.add_argument(
            "--expires-after",
            type=expiry_seconds,
            metavar="TIME",
            help="1h to 30d, or 3600 to 2592000 seconds",
        )
        parser.add_argument("--metadata", type=pair, action="append", default=[], metavar="KEY=VALUE")
        add_model(parser)
        add_dry_run(parser)

    def upload(self, arguments: Namespace) -> None:
        """Upload each file, or say where it would go; a single one is reported alone."""
        uploads = _uploads(arguments)
        run = self._plan if arguments.dry_run else self._upload
        if len(uploads) == 1:
            record = run(uploads[0], arguments)
            if arguments.json:
                self.write_json(record)
            return
        results = [self._tried(run, upload, arguments) for upload in uploads]
        if arguments.json:
            self.write_json(results)
        if failed := sum("error" in result for result in results):
            raise CommandError(f"{counted(failed, 'file')} of {len(results)} could not be uploaded.")

    def _tried(self, run: Any, upload: LocalUpload, arguments: Namespace) -> dict[str, Any]:
        try:
            return {"path": str(upload.path), **run(upload, arguments)}
        except (GatewayError, ProviderError) as exc:
            error = exc.message
        except ProviderConfigurationError as exc:
            error = str(exc)
        if not arguments.json:
            self.say(f"{upload.path}: {error}")
        return {"path": str(upload.path), "error": error}

    def _upload(self, upload: LocalUpload, arguments: Namespace) -> dict[str, Any]:
        is_piped = upload.path == STANDARD_INPUT
        size = None if is_piped else size_on_disk(upload.path)
        with self.progress(upload.filename or upload.path.name, size, in_bytes=True) as progress:
            caller = command_caller(upload.organization.pk)
            file = upload_from_disk(upload, caller=caller, on_bytes=progress.advance)
        if not arguments.json:
            words = f"{file.file_id}  {file.filename}  {short_bytes(file.bytes)} at {file.account.name}"
            self.stdout.write(printable(words))
        return file_record(file)

    def _plan(self, upload: LocalUpload, arguments: Namespace) -> dict[str, Any]:
        account, size = check_upload(upload)
        if not arguments.json:
            words = f"would upload {upload.path} ({short_bytes(size)}) to {account.full_name}"
            self.stdout.write(printable(words))
        return {"dry_run": True, "account": account.full_name, "bytes": size}


def _uploads(arguments: Namespace) -> list[LocalUpload]:
    if len(arguments.metadata) > MAX_METADATA[0]:
        raise CommandError(f"A file has at most {MAX_METADATA[0]} metadata entries.", returncode=USAGE_ERROR)
    paths = list(dict.fromkeys(arguments.paths))
    if arguments.name and len(paths) > 1:
        raise CommandError("--name is for one file: several keep their own.", returncode=USAGE_ERROR)
    if arguments.dry_run and STANDARD_INPUT in paths:
        raise CommandError("--dry-run does not read standard input.", returncode=USAGE_ERROR)
    one = LocalUpload(
        path=paths[0],
        organization=organization_named(arguments.organization),
        purpose=arguments.purpose,
        account_name=arguments.account,
        filename=arguments.name,
        content_type=arguments.content_type,
        expires_after_seconds=arguments.expires_after,
        metadata=dict(arguments.metadata),
        model=arguments.model,
    )
    return [replace(one, path=path) for path in paths]
