"""The subcommands of `manage.py files` about batch files: what would be stored, and what jobs read."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from files_app.exceptions import InvalidRequestError
from files_app.management.arguments import add_account, add_model, add_organization
from files_app.management.base import GroupCommand, command_caller
from files_app.management.local_files import LocalUpload, try_upload
from files_app.management.output import counted, printable, write_json_list
from files_app.management.references import named_file, scope_of, selected_files
from files_app.models import Organization
from files_app.models.files import FileQuerySet
from files_app.services.upstream.render import Outcome, Rendered, render_files
from files_app.web.representation import dry_run_object
from files_app.words import short_bytes
from providers.objects import INPUT_PURPOSES


class BatchFilesCommand(GroupCommand):
    """Declares `check` and `render`."""

    def declare_check(self) -> None:
        """Declare `check`."""
        parser = self.subcommand(
            "check",
            self.check_file,
            text="Check a file of this host as an upload would. Nothing is stored, and no provider is asked. "
            "Shows what the provider's batch jobs would read.",
            examples="""
                manage.py files check batch.jsonl --account acme/bedrock
                manage.py files check batch.jsonl --account shared/vertex --organization acme --json
                manage.py files check batch.jsonl --account acme/bedrock --model amazon.nova-lite-v1:0
            """,
        )
        parser.add_argument("path", type=Path, metavar="FILE")
        add_organization(parser)
        add_account(parser)
        parser.add_argument("--purpose", choices=INPUT_PURPOSES, default="batch", help="default: batch")
        parser.add_argument("--name", default="", help="the file's name; default: the last part of FILE")
        add_model(parser)

    def check_file(self, arguments: Namespace) -> None:
        """Say what would become of a file."""
        organization, account = _target(arguments)
        upload = LocalUpload(
            path=arguments.path,
            organization=organization,
            purpose=arguments.purpose,
            account_name=account,
            filename=arguments.name,
            model=arguments.model,
        )
        found = dry_run_object(try_upload(upload, caller=command_caller(organization.pk)))
        if arguments.json:
            self.write_json(found)
            return
        name, size, provider = found["filename"], short_bytes(found["bytes"]), found["provider"]
        self.stdout.write(printable(f"{name}  {size}: {provider} would take it"))
        for line in _facts(found.get("batch", {})):
            self.stdout.write(printable(f"  {line}"))
        for line in found.get("sample", ()):
            self.stdout.write(printable(line))

    def declare_render(self) -> None:
        """Declare `render`."""
        parser = self.subcommand(
            "render",
            self.render,
            text="Render batch files that were stored before their provider's jobs could read them. "
            "Reads each back, and writes what jobs read beside it. Can be stopped and repeated. "
            "Exit code 1 when a file's lines cannot be rendered.",
            examples="""
                manage.py files render file-abc123
                manage.py files render --account acme/bedrock
                manage.py files render file-abc123 --model amazon.nova-lite-v1:0
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="*", help="default: every one of --account")
        add_organization(parser)
        add_account(parser)
        add_model(parser)

    def render(self, arguments: Namespace) -> None:
        """Report each file, and the sums."""
        outcomes: Counter[Outcome] = Counter()
        rows = self._rendered(_to_render(arguments), outcomes, arguments)
        if arguments.json:
            write_json_list(self.stdout, map(_as_json, rows))
        else:
            for row in rows:
                detail = f": {row.detail}" if row.detail else ""
                self.stdout.write(printable(f"{row.outcome:13}  {row.file.file_id}{detail}"))
            self.say(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) or "No file.")
        if refused := outcomes[Outcome.REFUSED]:
            raise CommandError(f"{counted(refused, 'file')} of {outcomes.total()} need a look.")

    def _rendered(
        self, files: FileQuerySet, outcomes: Counter[Outcome], arguments: Namespace
    ) -> Iterator[Rendered]:
        with self.progress("rendering", in_bytes=True) as progress:
            for row in render_files(
                files, caller=command_caller(), model=arguments.model, on_bytes=progress.advance
            ):
                outcomes[row.outcome] += 1
                progress.clear()
                yield row


def _target(arguments: Namespace) -> tuple[Organization, str | None]:
    """Return the organization and the account's name; an owned account says whose it is."""
    organization, account = scope_of(arguments)
    if organization is None and account is not None:
        organization = account.organization
    if organization is None:
        raise InvalidRequestError("Add --organization: it says whose limits hold.")
    return organization, account.name if account is not None else None


def _to_render(arguments: Namespace) -> FileQuerySet:
    if not arguments.files and not arguments.account:
        raise CommandError("Name files, or an account with --account.", returncode=2)
    files = selected_files(arguments)
    if arguments.files:
        files = files.filter(pk__in=[named_file(each, arguments).pk for each in arguments.files])
    return files


def _facts(batch: dict[str, Any]) -> Iterator[str]:
    if not batch:
        return
    model = f" for {batch['model']}" if batch["model"] else ""
    size = short_bytes(batch["bytes"])
    yield f"{batch['records']:,} records{model} as {batch['format']}, {size}"
    if batch["ignored"]:
        yield "left out: " + ", ".join(batch["ignored"])
    yield from batch["warnings"]


def _as_json(row: Rendered) -> dict[str, Any]:
    return {
        "id": row.file.file_id,
        "organization": row.file.organization.name,
        "account": row.file.account.full_name,
        "outcome": row.outcome,
        "detail": row.detail,
        "batch": row.file.batch,
    }
