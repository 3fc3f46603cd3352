"""`manage.py reconcile`."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from files_app.management.arguments import add_dry_run, add_organization, add_yes
from files_app.management.base import GatewayCommand, command_caller
from files_app.management.output import counted, printable
from files_app.management.references import accounts_named, organization_named
from files_app.models import ProviderAccount
from files_app.services.upstream.reconcile import (
    Difference,
    Finding,
    Orders,
    Reconciliation,
    reconcile_account,
)
from files_app.words import short_bytes
from providers.exceptions import ProviderConfigurationError, ProviderError

_WORDS = {
    Finding.NEW: "made elsewhere: the next sync takes it in",
    Finding.UNEXPLAINED: "no row explains it",
    Finding.LEFTOVER: "deleted here, still there",
    Finding.LOST: "the provider has it no more",
    Finding.UNRENDERED: "what batch jobs read is gone",
}


class Command(GatewayCommand):
    """Compare the index with what providers really hold."""

    help = (
        "Compare the index with what providers hold, in both directions, and report the differences: files "
        "that no row explains, files that were deleted here and are still there, files that the provider "
        "has lost. Nothing is changed unless an option says so. Exit code 1 when something needs a look."
    )
    examples = """
        manage.py reconcile
        manage.py reconcile acme/openai --json
        manage.py reconcile shared/bedrock --mark-lost
        manage.py reconcile shared/bedrock --remove-unexplained --dry-run
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "accounts",
            metavar="ACCOUNT",
            nargs="*",
            help="NAME, ORGANIZATION/NAME or shared/NAME; default: every enabled one",
        )
        add_organization(parser)
        parser.add_argument(
            "--mark-lost",
            action="store_true",
            help="mark what two runs, a minute or more apart, miss at the provider as lost, free its quota",
        )
        parser.add_argument(
            "--remove-unexplained",
            action="store_true",
            help="delete at the provider what no row explains and no sync would take in. Never where another "
            "gateway or anybody else puts files into the same account",
        )
        parser.add_argument(
            "--protection-hours",
            type=float,
            default=settings.CLEANUP_PROTECTION_SECONDS / 3600,
            metavar="HOURS",
            help="remove nothing that is younger; default %(default)g (CLEANUP_PROTECTION_SECONDS)",
        )
        add_dry_run(parser)
        add_yes(parser)
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def run(self, arguments: Namespace) -> None:
        """Reconcile each account and report each."""
        organization = organization_named(arguments.organization) if arguments.organization else None
        accounts = accounts_named(arguments.accounts, organization)
        orders = self._orders(arguments, accounts)
        results = []
        for account in accounts:
            result = self._reconciled(account, orders)
            results.append(result)
            if not arguments.json:
                self._show(result)
        if arguments.json:
            self.write_json(results)
        open_ones = sum(bool(result.get("error")) or result["needs_attention"] for result in results)
        if open_ones:
            raise CommandError(f"{counted(open_ones, 'account')} of {len(results)} need a look.")

    def _orders(self, arguments: Namespace, accounts: list[ProviderAccount]) -> Orders:
        if arguments.protection_hours < 0:
            raise CommandError("--protection-hours cannot be negative.", returncode=2)
        if arguments.remove_unexplained and not arguments.dry_run:
            names = ", ".join(account.full_name for account in accounts)
            self.confirm(f"Delete for good what no row explains at {names}?", arguments)
        return Orders(
            remove_unexplained=arguments.remove_unexplained,
            mark_lost=arguments.mark_lost,
            dry_run=arguments.dry_run,
            protection=timedelta(hours=arguments.protection_hours),
        )

    def _reconciled(self, account: ProviderAccount, orders: Orders) -> dict[str, Any]:
        try:
            with self.progress(f"reading {account.full_name}") as progress:
                found = reconcile_account(
                    account, caller=command_caller(), orders=orders, on_seen=progress.advance
                )
        except (ProviderError, ProviderConfigurationError) as exc:
            return {"account": account.full_name, "error": str(exc), "needs_attention": True}
        return _as_json(found, orders)

    def _show(self, result: dict[str, Any]) -> None:
        if "error" in result:
            self.stdout.write(printable(f"{result['account']}: {result['error']}"))
            return
        words = [f"{result['account']}: {counted(result['seen'], 'file')} at the provider"]
        words += [f"{number} {finding}" for finding, number in result["counts"].items() if number]
        if result["note"]:
            words.append(result["note"])
        self.stdout.write(printable(", ".join(words)))
        for row in result["differences"]:
            self.stdout.write(printable("  " + _line(row)))


def _as_json(found: Reconciliation, orders: Orders) -> dict[str, Any]:
    return {
        "account": found.account.full_name,
        "dry_run": orders.dry_run,
        "seen": found.seen,
        "is_complete": found.is_complete,
        "note": found.note,
        "needs_attention": found.needs_attention,
        "counts": {finding.value: found.count(finding) for finding in Finding},
        "differences": [_difference_as_json(difference, orders) for difference in found.differences],
    }


def _difference_as_json(difference: Difference, orders: Orders) -> dict[str, Any]:
    would = "would be " if orders.dry_run and difference.is_settled else ""
    return {
        "finding": difference.finding,
        "id": difference.file_id,
        "remote_id": difference.remote_id,
        "organization": difference.organization,
        "filename": difference.filename,
        "bytes": difference.bytes,
        "created_at": difference.created_at,
        "action": f"{would}{difference.action}",
        "detail": difference.detail,
    }


def _line(row: dict[str, Any]) -> str:
    size = short_bytes(row["bytes"]) if row["bytes"] is not None else "size unknown"
    words = [f"{row['finding']:11}", row["id"] or row["remote_id"], row["filename"] or "unnamed", size]
    reasons = [_WORDS[row["finding"]], row["detail"], row["action"]]
    return "  ".join([*words, "; ".join(filter(None, reasons))])
