"""`manage.py rebuild_index`."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from files_app.management.arguments import add_dry_run
from files_app.management.base import GatewayCommand, command_caller
from files_app.management.output import counted, printable
from files_app.management.references import account_named, organization_named
from files_app.services.upstream.rebuild import Rebuilt, rebuild_index
from files_app.words import short_bytes


class Command(GatewayCommand):
    """Write the rows that are missing for the objects of a bucket."""

    help = (
        "Rebuild the index from an object store: Bedrock's bucket on S3, Vertex's on GCS, or the local disk. "
        "Names, purposes, checksums, metadata and expiry come from what the gateway wrote with each object. "
        "Rows that are there stay as they are, also those of deleted files, so it is safe to repeat. "
        "A key names its organization by number: where organizations were made anew, say with --owner whose "
        "the objects are. Exit code 1 when the owner of an object is not certain."
    )
    examples = """
        manage.py rebuild_index shared/bedrock --dry-run
        manage.py rebuild_index acme/bedrock
        manage.py rebuild_index shared/bedrock --owner org-1=acme --owner org-2=globex
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT", help="NAME, ORGANIZATION/NAME or shared/NAME")
        parser.add_argument(
            "--owner",
            dest="owners",
            type=_owner,
            action="append",
            default=[],
            metavar="SEGMENT=ORGANIZATION",
            help="keys with this segment behind the prefix belong to this organization",
        )
        add_dry_run(parser)
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def run(self, arguments: Namespace) -> None:
        """Rebuild and report."""
        account = account_named(arguments.account)
        owners = {segment: organization_named(name) for segment, name in arguments.owners}
        with self.progress(f"reading {account.full_name}") as progress:
            found = rebuild_index(
                account,
                owners=owners,
                caller=command_caller(),
                dry_run=arguments.dry_run,
                on_seen=progress.advance,
            )
        if arguments.json:
            self.write_json(_as_json(found, arguments) | {"account": account.full_name})
        else:
            self._show(found, arguments)
        if found.unowned:
            segments = ", ".join(sorted(found.unowned))
            raise CommandError(
                f"{counted(found.unowned.total(), 'object')} under {segments} were left out, because it is "
                f"not certain whose they are. Say it with --owner {min(found.unowned)}=ORGANIZATION."
            )
        if not found.is_complete:
            raise CommandError("The bucket's list could not be read to its end. Run the command again.")

    def _show(self, found: Rebuilt, arguments: Namespace) -> None:
        verb = "would be written" if arguments.dry_run else "written"
        total = counted(found.restored.total(), "row")
        self.stdout.write(
            f"{counted(found.seen, 'object')}, {total} {verb} ({short_bytes(found.restored_bytes)})"
        )
        for name, number in sorted(found.restored.items()):
            self.stdout.write(f"  {name}: {number}")
        if found.known:
            self.stdout.write(f"  in the index already: {found.known}")
        if found.foreign:
            self.stdout.write(f"  not written by the gateway: {found.foreign}")
        for segment, number in sorted(found.unowned.items()):
            self.stdout.write(printable(f"  {segment}: {number} left out, whose are they?"))


def _as_json(found: Rebuilt, arguments: Namespace) -> dict[str, Any]:
    return {
        "dry_run": arguments.dry_run,
        "seen": found.seen,
        "restored": dict(found.restored),
        "restored_bytes": found.restored_bytes,
        "known": found.known,
        "foreign": found.foreign,
        "unowned": dict(found.unowned),
        "is_complete": found.is_complete,
    }


def _owner(text: str) -> tuple[str, str]:
    segment, equals, name = text.partition("=")
    if not segment or not equals or not name:
        raise ArgumentTypeError(f"{text!r} is not SEGMENT=ORGANIZATION, such as org-1=acme")
    return segment, name
