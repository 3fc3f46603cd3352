"""`manage.py orgs list|usage|limit|recount`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.core.management.base import CommandError

from files_app.management.arguments import add_dry_run, days
from files_app.management.base import GroupCommand, command_caller
from files_app.management.monthly_usage import add_month, show_month
from files_app.management.output import counted, write_facts, write_table
from files_app.management.rates import add_rates, in_words, rates_in
from files_app.management.references import organization_named
from files_app.models import Organization
from files_app.models.organizations import RATE_LIMITS
from files_app.services.index.usage import Drift, recount
from files_app.services.operations.overview import usage_history, usage_of
from files_app.services.tenants.rates import set_rates
from files_app.words import short_bytes

_BAR_WIDTH = 30


class Command(GroupCommand):
    """Organizations, what they use, how much they may ask for, and the recount of their counters."""

    help = (
        "List organizations, show what they use of their quota, set their rates, and recount. Organizations "
        "are made and changed in the admin or with `manage.py apply`."
    )
    examples = """
        manage.py orgs list
        manage.py orgs usage acme --days 7
        manage.py orgs recount --dry-run
    """

    def add_subcommands(self) -> None:
        """Declare the four subcommands."""
        self.subcommand(
            "list",
            self.list_organizations,
            text="List organizations with their quota.",
            examples="""
                manage.py orgs list
                manage.py orgs list --json
            """,
        )
        self._declare_usage()
        self._declare_limit()
        self._declare_recount()

    def list_organizations(self, arguments: Namespace) -> None:
        """Print the organizations."""
        rows = Organization.objects.order_by("name")
        if arguments.json:
            self.write_json([_as_json(row) for row in rows])
            return
        headers = ["NAME", "ACTIVE", "FILES", "USED", "RESERVED", "QUOTA", "SHARE", "LARGEST", "AT MOST"]
        if not write_table(self.stdout, headers, map(_as_row, rows)):
            self.say("There is no organization. `manage.py bootstrap` or `manage.py apply FILE` makes one.")

    def _declare_usage(self) -> None:
        parser = self.subcommand(
            "usage",
            self.usage,
            text="Show what an organization uses, and what it held on each of the last days; or, for bills, "
            "what organizations used in a month: storage in GB-hours (10^9 bytes times hours) and traffic.",
            examples="""
                manage.py orgs usage acme
                manage.py orgs usage acme --days 7 --json
                manage.py orgs usage --all --month 2026-11 --json
                manage.py orgs usage acme --month 2026-11 --by key,purpose
            """,
        )
        parser.add_argument("organization", metavar="NAME", nargs="?", default="")
        parser.add_argument("--days", type=days, default=30, help="1 to 366; default 30")
        add_month(parser)

    def usage(self, arguments: Namespace) -> None:
        """Print one organization's usage, or that of a month."""
        if arguments.month or arguments.all or arguments.by or not arguments.organization:
            show_month(self, arguments)
            return
        row = organization_named(arguments.organization)
        history = usage_history(row, days=arguments.days)
        if arguments.json:
            days = [{"date": day.date.isoformat(), "used_bytes": day.used_bytes} for day in history]
            self.write_json(_as_json(row) | {"days": days})
            return
        write_facts(self.stdout, _as_json(row).items())
        most = max(row.quota_bytes, *(day.used_bytes for day in history)) or 1
        for day in history:
            bar = "#" * round(_BAR_WIDTH * day.used_bytes / most)
            self.stdout.write(f"{day.date}  {short_bytes(day.used_bytes):>10}  {bar}".rstrip())

    def _declare_limit(self) -> None:
        parser = self.subcommand(
            "limit",
            self.limit,
            text="Set what an organization may do within a minute, or at once, with all of its keys. What is "
            "not named stays as it is.",
            examples="""
                manage.py orgs limit acme --requests-per-minute 6000 --uploads-at-once 100
                manage.py orgs limit acme --uploads-per-minute default
            """,
        )
        parser.add_argument("organization", metavar="NAME")
        add_rates(parser)
        add_dry_run(parser)

    def limit(self, arguments: Namespace) -> None:
        """Set rates of an organization."""
        row, rates = organization_named(arguments.organization), rates_in(arguments)
        if not rates:
            raise CommandError("Name at least one rate: see `manage.py orgs limit --help`.")
        if not arguments.dry_run:
            set_rates(row, rates, caller=command_caller(row.pk))
        if arguments.json:
            self.write_json(_as_json(row) | rates | {"dry_run": arguments.dry_run})
        else:
            would = "would set " if arguments.dry_run else ""
            self.stdout.write(f"{would}{row.name}: {in_words(rates)}")

    def _declare_recount(self) -> None:
        parser = self.subcommand(
            "recount",
            self.recount,
            text="Compare the counters of organizations with their files and mend them. With --dry-run the "
            "exit code is 1 when a counter is wrong.",
            examples="""
                manage.py orgs recount --dry-run
                manage.py orgs recount
                manage.py orgs recount acme
            """,
        )
        parser.add_argument("organizations", metavar="NAME", nargs="*", help="default: every organization")
        add_dry_run(parser)

    def recount(self, arguments: Namespace) -> None:
        """Recount and report what was wrong."""
        rows = [organization_named(name) for name in arguments.organizations]
        rows = rows or list(Organization.objects.order_by("name"))
        drifts = []
        with self.progress("recounting", len(rows)) as progress:
            for row in rows:
                drifts.append(recount(row, dry_run=arguments.dry_run, caller=command_caller(row.pk)))
                progress.advance()
        wrong = [drift for drift in drifts if not drift.is_clean]
        if arguments.json:
            self.write_json([_drift_as_json(drift, arguments) for drift in drifts])
        else:
            self._show_drifts(wrong, len(drifts), arguments)
        if wrong and arguments.dry_run:
            raise CommandError(f"{counted(len(wrong), 'organization')} of {len(drifts)} need a recount.")

    def _show_drifts(self, wrong: list[Drift], total: int, arguments: Namespace) -> None:
        for drift in wrong:
            for name, found in drift.counted.items():
                if found != drift.actual[name]:
                    words = f"{name} {'is' if arguments.dry_run else 'was'} {found}"
                    self.stdout.write(f"{drift.organization}: {words}, the files say {drift.actual[name]}")
        if not wrong:
            self.stdout.write(f"The counters of {counted(total, 'organization')} are right.")


def _as_row(row: Organization) -> tuple[Any, ...]:
    return (
        row.name,
        row.is_active,
        row.file_count,
        short_bytes(row.used_bytes),
        short_bytes(row.reserved_bytes),
        short_bytes(row.quota_bytes),
        f"{usage_of(row).percent:.0f} %",
        short_bytes(row.max_file_bytes),
        row.max_files or "any",
    )


def _as_json(row: Organization) -> dict[str, Any]:
    return {
        "name": row.name,
        "is_active": row.is_active,
        "file_count": row.file_count,
        "used_bytes": row.used_bytes,
        "reserved_bytes": row.reserved_bytes,
        "quota_bytes": row.quota_bytes,
        "max_file_bytes": row.max_file_bytes,
        "max_files": row.max_files,
        "trash_days": row.trash_days,
        "trash_is_free": row.trash_is_free,
        **{name: getattr(row, name) for name in RATE_LIMITS},
        "created_at": row.created_at,
    }


def _drift_as_json(drift: Drift, arguments: Namespace) -> dict[str, Any]:
    return {
        "organization": drift.organization,
        "counted": drift.counted,
        "actual": drift.actual,
        "is_clean": drift.is_clean,
        "is_mended": not drift.is_clean and not arguments.dry_run,
    }
