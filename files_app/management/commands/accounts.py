"""`manage.py accounts list|test|sync|enable|disable|confirm`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

import structlog
from django.core.management.base import CommandError
from django.db import DatabaseError

from files_app.management.arguments import add_dry_run, add_organization
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import counted, printable, write_json_list, write_table
from files_app.management.references import account_named, accounts_named, organization_named
from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import switch_account
from files_app.services.accounts.sharing import confirm_exclusive
from files_app.services.operations import on_request
from files_app.services.upstream.adoption import can_adopt
from files_app.services.upstream.reconcile import Finding, Orders, reconcile_account
from files_app.words import age
from providers.exceptions import ProviderConfigurationError, ProviderError

log = structlog.get_logger(__name__)


class Command(GroupCommand):
    """Provider accounts of every organization."""

    help = (
        "List provider accounts, test their connections, sync the index with what they hold, and switch them "
        "on and off. Accounts are made and changed in the admin or with `manage.py apply`."
    )
    examples = """
        manage.py accounts list
        manage.py accounts test acme/openai
        manage.py accounts SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self._declare_list()
        self._declare_test()
        self._declare_sync()
        self._declare_switches()
        self._declare_confirm()

    def _declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_accounts,
            text="List provider accounts. Credentials are never shown.",
            examples="""
                manage.py accounts list
                manage.py accounts list --organization acme --json
            """,
        )
        add_organization(parser)

    def list_accounts(self, arguments: Namespace) -> None:
        """Print the accounts."""
        rows = ProviderAccount.objects.select_related("organization").order_by("organization__name", "name")
        if arguments.organization:
            rows = rows.filter(organization=organization_named(arguments.organization))
        if arguments.json:
            self.write_json([_as_json(row) for row in rows])
            return
        headers = ["ACCOUNT", "DRIVER", "ENABLED", "DEFAULT", "LAST SYNC", "ERROR"]
        if not write_table(self.stdout, headers, map(_as_row, rows)):
            self.say("There is no account. `manage.py apply FILE` or the admin makes one.")

    # -- test --------------------------------------------------------------------------------------

    def _declare_test(self) -> None:
        parser = self.subcommand(
            "test",
            self.test,
            text="Test what an upload would need, step by step: configuration, network, credentials. "
            "Exit code 1 when a step fails.",
            examples="""
                manage.py accounts test acme/openai
                manage.py accounts test acme/openai --upload
                manage.py accounts test acme/openai --round-trip
                manage.py accounts test                      every enabled account
            """,
        )
        _add_accounts(parser)
        parser.add_argument(
            "--upload", action="store_true", help="also store a small file, as a client would, and delete it"
        )
        parser.add_argument(
            "--round-trip",
            action="store_true",
            help="the same, and read it back and say what a store lacks before it is deleted",
        )

    def test(self, arguments: Namespace) -> None:
        """Test each account and print each step as it ends."""
        accounts = self._accounts(arguments)
        results = []
        for account in accounts:
            steps = self._tested(account, arguments)
            ok = all(step["ok"] for step in steps)
            results.append({"account": account.full_name, "ok": ok, "steps": steps})
        if arguments.json:
            self.write_json(results)
        failed = sum(not result["ok"] for result in results)
        if failed:
            raise CommandError(f"{counted(failed, 'account')} of {len(accounts)} failed.")

    def _tested(self, account: ProviderAccount, arguments: Namespace) -> list[dict[str, Any]]:
        name = account.full_name
        caller = command_caller(account.organization_id)
        steps = []
        with self.progress(f"testing {name}") as progress:
            tried = on_request.check_for(
                account, caller=caller, upload=arguments.upload, round_trip=arguments.round_trip
            )
            for step in tried:
                progress.clear()
                facts = {"name": step.name, "ok": step.ok, "seconds": round(step.seconds, 3)}
                steps.append(facts | {"detail": step.detail})
                if not arguments.json:
                    word = self.style.SUCCESS("ok    ") if step.ok else self.style.ERROR("failed")
                    words = f"{name}  {step.name}  {step.seconds:.2f} s  {step.detail}"
                    self.stdout.write(f"{word}  {printable(words)}")
                progress.advance()
        return steps

    # -- sync --------------------------------------------------------------------------------------

    def _declare_sync(self) -> None:
        parser = self.subcommand(
            "sync",
            self.sync,
            text="Bring the index up to date with providers: take in files made elsewhere, mark those lost "
            "that are gone. Only accounts that one organization owns alone are synced.",
            examples="""
                manage.py accounts sync acme/openai
                manage.py accounts sync acme/openai --dry-run
                manage.py accounts sync                      every enabled account
            """,
        )
        _add_accounts(parser)
        add_dry_run(parser)

    def sync(self, arguments: Namespace) -> None:
        """Sync each account and report each."""
        results = [self._synced(account, arguments) for account in self._accounts(arguments)]
        if arguments.json:
            write_json_list(self.stdout, results)
        else:
            for result in results:
                self.stdout.write(printable(f"{result['account']}  {_sync_words(result)}"))
        failed = sum("error" in result for result in results)
        if failed:
            raise CommandError(f"{counted(failed, 'account')} of {len(results)} could not be synced.")

    def _synced(self, account: ProviderAccount, arguments: Namespace) -> dict[str, Any]:
        result: dict[str, Any] = {"account": account.full_name}
        try:
            if not _adopts(account):
                return result | {"skipped": _why_not(account)}
            if arguments.dry_run:
                return result | _expected(account)
            return result | self._sync(account)
        except (ProviderError, ProviderConfigurationError) as exc:
            return result | {"error": str(exc)}
        except DatabaseError:
            raise
        except Exception as exc:  # one account's oddity must not keep the others waiting
            log.exception("sync_failed_unexpectedly", account=account.name)
            return result | {"error": f"{type(exc).__name__}, which nobody expected: the log has it."}

    def _sync(self, account: ProviderAccount) -> dict[str, Any]:
        with self.progress(f"syncing {account.full_name}") as progress:
            report = on_request.sync_for(
                account,
                caller=command_caller(account.organization_id),
                on_progress=lambda report: progress.set(report.seen),
            )
        if report is None:
            return {"skipped": "another sync of this account is running"}
        return on_request.counts(report)

    # -- enable and disable ------------------------------------------------------------------------

    def _declare_switches(self) -> None:
        for name, run, text in (
            ("enable", self.enable, "Let accounts serve requests again."),
            (
                "disable",
                self.disable,
                "Refuse uploads and downloads through accounts until they are enabled.",
            ),
        ):
            examples = f"manage.py accounts {name} acme/openai shared/bedrock"
            parser = self.subcommand(name, run, text=text, examples=examples)
            parser.add_argument(
                "accounts", metavar="ACCOUNT", nargs="+", help="ORGANIZATION/NAME or shared/NAME"
            )
            add_organization(parser)
            add_dry_run(parser)

    def enable(self, arguments: Namespace) -> None:
        """Switch accounts on."""
        self._switch(arguments, is_enabled=True)

    def disable(self, arguments: Namespace) -> None:
        """Switch accounts off."""
        self._switch(arguments, is_enabled=False)

    def _switch(self, arguments: Namespace, *, is_enabled: bool) -> None:
        results, word = [], "enabled" if is_enabled else "disabled"
        for account in self._accounts(arguments):
            changed = account.is_enabled != is_enabled
            if changed and not arguments.dry_run:
                caller = command_caller(account.organization_id)
                switch_account(account, is_enabled=is_enabled, caller=caller)
            results.append({"account": account.full_name, "changed": changed, "dry_run": arguments.dry_run})
            if not arguments.json:
                would = "" if changed else "was already "
                would = "would be " if changed and arguments.dry_run else would
                self.stdout.write(f"{account.full_name}  {would}{word}")
        if arguments.json:
            self.write_json(results)

    # -- confirm -----------------------------------------------------------------------------------

    def _declare_confirm(self) -> None:
        parser = self.subcommand(
            "confirm",
            self.confirm_account,
            text="Say that all files at an account are its organization's: what was withheld is shown "
            "again, and adoption goes on. What speaks against it later counts again.",
            examples="""
                manage.py accounts confirm acme/openai
            """,
        )
        parser.add_argument("account", metavar="ACCOUNT", help="NAME or ORGANIZATION/NAME")

    def confirm_account(self, arguments: Namespace) -> None:
        """Confirm one account."""
        account = account_named(arguments.account)
        if account.is_shared:
            raise CommandError("Every organization uses this account: there is nothing to confirm.")
        shown = confirm_exclusive(account, caller=command_caller(account.organization_id))
        if arguments.json:
            self.write_json({"account": account.full_name, "shown": shown})
        else:
            self.say(f"{account.full_name} is confirmed; {counted(shown, 'file')} shown again.")

    def _accounts(self, arguments: Namespace) -> list[ProviderAccount]:
        organization: Organization | None = None
        if arguments.organization:
            organization = organization_named(arguments.organization)
        accounts = accounts_named(arguments.accounts, organization)
        if not accounts:
            raise CommandError("No account is enabled. `manage.py accounts list` shows what there is.")
        return accounts


def _add_accounts(parser: ArgumentParser) -> None:
    parser.add_argument(
        "accounts",
        metavar="ACCOUNT",
        nargs="*",
        help="NAME, ORGANIZATION/NAME or shared/NAME; default: every enabled one",
    )
    add_organization(parser)


def _adopts(account: ProviderAccount) -> bool:
    try:
        return can_adopt(account, driver_for(account))
    except ProviderConfigurationError:
        return True  # the sync says what is wrong, and so does the audit trail


def _why_not(account: ProviderAccount) -> str:
    if not account.is_enabled:
        return "the account is disabled"
    if account.is_shared:
        return "a shared account's files may be anybody's"
    if account.shared_since is not None:
        return f"it is shared: {account.get_shared_reason_display()}"
    return "the provider has no list, or another organization's account sees the same files"


def _expected(account: ProviderAccount) -> dict[str, Any]:
    found = reconcile_account(account, caller=command_caller(), orders=Orders(dry_run=True))
    return {
        "dry_run": True,
        "seen": found.seen,
        "adopted": found.count(Finding.NEW),
        "lost": found.count(Finding.LOST),
        "is_complete": found.is_complete,
    }


def _sync_words(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"failed: {result['error']}"
    if "skipped" in result:
        return f"not synced: {result['skipped']}"
    would = "would be " if "dry_run" in result else ""
    words = f"{result['seen']} seen, {result['adopted']} {would}taken in, {result['lost']} {would}lost"
    return words if result["is_complete"] else f"{words}; the list could not be read to its end"


def _as_row(row: ProviderAccount) -> tuple[Any, ...]:
    return (
        row.full_name,
        row.driver,
        row.is_enabled,
        row.is_default,
        age(row.last_synced_at),
        row.last_sync_error,
    )


def _as_json(row: ProviderAccount) -> dict[str, Any]:
    return {
        "account": row.full_name,
        "name": row.name,
        "organization": row.organization.name if row.organization else None,
        "driver": row.driver,
        "options": row.options,
        "disk_segment": row.disk_segment,
        "has_credentials": bool(row.credentials),
        "is_operators": row.is_operators,
        "is_enabled": row.is_enabled,
        "is_default": row.is_default,
        "shared_since": row.shared_since,
        "shared_reason": row.shared_reason,
        "confirmed_at": row.confirmed_at,
        "list_freshness_seconds": row.list_freshness_seconds,
        "last_synced_at": row.last_synced_at,
        "last_sync_error": row.last_sync_error,
    }
