"""The subcommands of `manage.py files` that place, list and lift legal holds."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from files_app.exceptions import InvalidRequestError
from files_app.management.arguments import add_account, add_dry_run, add_organization, add_yes, count, pair
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import counted, write_table
from files_app.management.references import named_file, scope_of
from files_app.models import LegalHold
from files_app.services.reading.listing import FileFilters
from files_app.services.retention import holds


class HoldFilesCommand(GroupCommand):
    """Declares `hold`, `holds` and `release`."""

    def declare_holds(self) -> None:
        """Declare the subcommands."""
        self._declare_hold()
        self._declare_list_of_holds()
        self._declare_release()

    def _declare_hold(self) -> None:
        parser = self.subcommand(
            "hold",
            self.hold,
            text="Place a legal hold. Nothing deletes the files until it is released: no client, no staff, "
            "no expiry, no retention rule. Conditions instead of ids also hold what comes to match.",
            examples="""
                manage.py files hold file-abc123 --reason "case 2026-17"
                manage.py files hold --organization acme --metadata user=42 --reason "case 2026-17"
                manage.py files hold --organization acme --purpose batch --created-before 2026-06-01 \
--reason "audit" --dry-run
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="*")
        parser.add_argument("--reason", required=True, help="kept with the hold and in the audit trail")
        add_organization(parser)
        add_account(parser)
        add_conditions(parser)
        add_dry_run(parser)

    def hold(self, arguments: Namespace) -> None:
        """Place a hold on the files that are named, or on those that match."""
        filters = filters_of(arguments)
        if arguments.files:
            if filters != FileFilters(provider=filters.provider):
                raise CommandError("Name files or conditions, not both.", returncode=2)
            self._hold_named(arguments)
            return
        organization, _ = scope_of(arguments)
        if organization is None:
            raise CommandError("Name files, or an organization and conditions.", returncode=2)
        if arguments.dry_run:
            kept, ending = holds.would_hold(organization, filters)
            self._say_held(arguments, {"dry_run": True, "files": kept, "not_possible": ending})
            return
        caller = command_caller(organization.pk)
        hold = holds.hold_matching(organization, filters, reason=arguments.reason, caller=caller)
        self._say_placed(arguments, hold)

    def _hold_named(self, arguments: Namespace) -> None:
        files = [named_file(reference, arguments) for reference in dict.fromkeys(arguments.files)]
        if len({file.organization_id for file in files}) > 1:
            raise CommandError("The files belong to several organizations: a hold is for one.", returncode=2)
        if arguments.dry_run:
            self._say_held(arguments, {"dry_run": True, "files": len(files), "not_possible": 0})
            return
        caller = command_caller(files[0].organization_id)
        self._say_placed(arguments, holds.hold_files(files, reason=arguments.reason, caller=caller))

    def _say_placed(self, arguments: Namespace, hold: LegalHold) -> None:
        facts = {"files": holds.held_files(hold).count(), "not_possible": holds.unholdable(hold).count()}
        self._say_held(arguments, {"hold": hold.pk, **facts})

    def _say_held(self, arguments: Namespace, facts: dict[str, Any]) -> None:
        if arguments.json:
            self.write_json(facts)
            return
        number = counted(facts["files"], "file")
        held = f"hold {facts['hold']} keeps {number}" if "hold" in facts else f"would hold {number}"
        self.stdout.write(held)
        if facts["not_possible"]:
            ending = counted(facts["not_possible"], "file")
            self.say(f"{ending} cannot be held: their provider deletes them by itself.")

    def _declare_list_of_holds(self) -> None:
        parser = self.subcommand(
            "holds",
            self.list_holds,
            text="List legal holds, newest first.",
            examples="""
                manage.py files holds
                manage.py files holds --organization acme --all --json
            """,
        )
        add_organization(parser)
        parser.add_argument("--all", action="store_true", help="also those that were released")

    def list_holds(self, arguments: Namespace) -> None:
        """Print the holds."""
        organization, _ = scope_of(Namespace(organization=arguments.organization, account=None))
        rows = LegalHold.objects.all() if arguments.all else LegalHold.objects.open()
        if organization is not None:
            rows = rows.filter(organization=organization)
        records = [hold_record(hold) for hold in rows.select_related("organization")]
        if arguments.json:
            self.write_json(records)
            return
        headers = ["HOLD", "ORGANIZATION", "FILES", "FOR", "REASON", "BY", "SINCE", "RELEASED"]
        names = ["hold", "organization", "files", "for", "reason", "placed_by", "placed_at", "lifted_at"]
        if not write_table(self.stdout, headers, ([record[name] for name in names] for record in records)):
            self.say("No hold.")

    def _declare_release(self) -> None:
        parser = self.subcommand(
            "release",
            self.release,
            text="Release a legal hold. What no other hold keeps can be deleted again, and what is past its "
            "time is.",
            examples="""
                manage.py files release 12
                manage.py files release 12 --yes --json
            """,
        )
        parser.add_argument(
            "hold", metavar="HOLD", type=count, help="its number: see `manage.py files holds`"
        )
        add_yes(parser)

    def release(self, arguments: Namespace) -> None:
        """Lift a hold."""
        hold = LegalHold.objects.select_related("organization").filter(pk=arguments.hold).first()
        if hold is None:
            raise InvalidRequestError(
                f"There is no hold {arguments.hold}. `manage.py files holds` lists them."
            )
        number = counted(holds.held_files(hold).count(), "file")
        self.confirm(f"Release hold {hold.pk} of {hold.organization.name} on {number}?", arguments)
        holds.lift(hold, caller=command_caller(hold.organization_id))
        if arguments.json:
            self.write_json(hold_record(hold))
        else:
            self.stdout.write(f"hold {hold.pk} is released; it kept {number}")


def add_conditions(parser: ArgumentParser) -> None:
    """Declare the conditions by which files are chosen."""
    parser.add_argument("--purpose", help="only files of this purpose")
    parser.add_argument("--name", help="only files of exactly this name")
    parser.add_argument("--metadata", type=pair, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--created-after", type=_day, metavar="DATE", help="such as 2026-06-01, in UTC")
    parser.add_argument("--created-before", type=_day, metavar="DATE")


def filters_of(arguments: Namespace) -> FileFilters:
    """Return what the conditions of `add_conditions`, and --account, say."""
    _, account = scope_of(arguments)
    return FileFilters(
        purpose=arguments.purpose or None,
        provider=account.name if account else None,
        filename=arguments.name or None,
        created_after=arguments.created_after,
        created_before=arguments.created_before,
        metadata=dict(arguments.metadata),
    )


def hold_record(hold: LegalHold) -> dict[str, Any]:
    """Return a hold as operators see it."""
    return {
        "hold": hold.pk,
        "organization": hold.organization.name,
        "files": holds.held_files(hold).count(),
        "for": holds.described(hold),
        "filters": hold.filters,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at,
        "lifted_by": hold.lifted_by or None,
        "lifted_at": hold.lifted_at,
    }


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date such as 2026-06-01") from None
