"""The subcommand of `manage.py files` that reads files back."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from files_app.management.arguments import add_account, add_organization, count
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import counted, printable, write_json_list
from files_app.management.references import named_file, selected_files
from files_app.models.files import FileQuerySet
from files_app.services.upstream.verify import PROBLEMS, Outcome, Verdict, verify_files


class VerifyFilesCommand(GroupCommand):
    """Declares `verify`."""

    def declare_verify(self) -> None:
        parser = self.subcommand(
            "verify",
            self.verify,
            text="Read files back from their providers and compare them with what was uploaded. "
            "Changes nothing. Exit code 1 when a file is damaged, missing or could not be read.",
            examples="""
                manage.py files verify --organization acme
                manage.py files verify file-abc123
                manage.py files verify --account shared/bedrock --limit 100 --json
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="*", help="default: every available file")
        add_organization(parser)
        add_account(parser)
        parser.add_argument("--limit", type=count, help="stop after so many files")

    def verify(self, arguments: Namespace) -> None:
        """Report each file that is not as it was, and the sums."""
        files = selected_files(arguments)
        if arguments.files:
            files = files.filter(
                pk__in=[named_file(reference, arguments).pk for reference in arguments.files]
            )
        outcomes: Counter[Outcome] = Counter()
        rows = self._verdicts(files, outcomes, arguments)
        if arguments.json:
            write_json_list(self.stdout, map(_verdict_as_json, rows))
        else:
            for verdict in rows:
                self.stdout.write(_verdict_line(verdict))
            self.say(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) or "No file.")
        problems = sum(number for outcome, number in outcomes.items() if outcome in PROBLEMS)
        if problems:
            raise CommandError(f"{counted(problems, 'file')} of {outcomes.total()} need a look.")

    def _verdicts(
        self, files: FileQuerySet, outcomes: Counter[Outcome], arguments: Namespace
    ) -> Iterator[Verdict]:
        with self.progress("verifying", in_bytes=True) as progress:
            for verdict in verify_files(
                files, caller=command_caller(), limit=arguments.limit, on_bytes=progress.advance
            ):
                outcomes[verdict.outcome] += 1
                progress.clear()
                yield verdict


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.file.file_id,
        "organization": verdict.file.organization.name,
        "account": verdict.file.account.full_name,
        "outcome": verdict.outcome,
        "detail": verdict.detail,
        "bytes_read": verdict.bytes_read,
    }


def _verdict_line(verdict: Verdict) -> str:
    words = f"{verdict.outcome:16}  {verdict.file.file_id}  {verdict.file.filename}"
    return printable(f"{words}: {verdict.detail}" if verdict.detail else words)
