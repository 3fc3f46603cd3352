"""The subcommand of `manage.py files` about batch results: those of before they were translated."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from typing import Any

from files_app.management.arguments import add_account, add_dry_run, add_organization
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import printable, write_json_list
from files_app.management.references import selected_files
from files_app.services.upstream.conversion import Conversion, Converted, convert_results


class ResultFilesCommand(GroupCommand):
    """Declares `convert`."""

    def declare_convert(self) -> None:
        """Declare `convert`."""
        parser = self.subcommand(
            "convert",
            self.convert,
            text="Show batch results that were taken in as their provider wrote them in OpenAI's shape, as "
            "those are that come now. A result keeps one id, for its output file; ids of its other parts go. "
            "Workers translate then. Can be stopped and repeated.",
            examples="""
                manage.py files convert --dry-run
                manage.py files convert --account acme/bedrock
            """,
        )
        add_organization(parser)
        add_account(parser)
        add_dry_run(parser)

    def convert(self, arguments: Namespace) -> None:
        """Report each row, and the sums."""
        outcomes: Counter[Conversion] = Counter()
        rows = self._converted(arguments, outcomes)
        if arguments.json:
            write_json_list(self.stdout, map(_as_json, rows))
            return
        for row in rows:
            self.stdout.write(printable(f"{row.outcome:15}  {row.file.file_id}  {row.file.filename}"))
        done = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
        self.say((done or "No result to convert.") + (" (dry run)" if arguments.dry_run and done else ""))

    def _converted(self, arguments: Namespace, outcomes: Counter[Conversion]) -> Iterator[Converted]:
        files = selected_files(arguments).select_related("organization", "account__organization")
        for row in convert_results(files, caller=command_caller(), dry_run=arguments.dry_run):
            outcomes[row.outcome] += 1
            yield row


def _as_json(row: Converted) -> dict[str, Any]:
    return {
        "id": row.file.file_id,
        "organization": row.file.organization.name,
        "account": row.file.account.full_name,
        "filename": row.file.filename,
        "outcome": row.outcome,
    }
