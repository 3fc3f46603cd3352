"""`manage.py deletions list|retry|give-up|drain`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import CommandError

from files_app.management.arguments import add_account, add_dry_run, add_organization, add_yes, named_or_read
from files_app.management.base import USAGE_ERROR, GroupCommand, command_caller
from files_app.management.output import counted, printable, write_json_list, write_table
from files_app.management.references import scope_of
from files_app.models import CopyState, FileCopy
from files_app.models.copies import FileCopyQuerySet
from files_app.services.deletes.drain import drain, waiting
from files_app.services.deletes.outbox import give_up, retry_dead
from files_app.services.index.transactions import in_batches
from files_app.web.representation import copy_record
from files_app.words import age

_QUEUE = (CopyState.DELETING, CopyState.DEAD, CopyState.UNCONFIRMED)


class Command(GroupCommand):
    """The queue of deletes at providers."""

    help = (
        "List the deletes that providers have not confirmed, retry those that were given up, give up, or "
        "do them now."
    )
    examples = """
        manage.py deletions list --state dead
        manage.py deletions retry --all
        manage.py deletions drain
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self._declare_list()
        self._declare_retry()
        self._declare_give_up()
        self._declare_drain()

    def _declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_deletions,
            text="List the queue, dead deletes first and what waits longest, with attempts and errors.",
            examples="""
                manage.py deletions list
                manage.py deletions list --state dead --account acme/openai --json
            """,
        )
        _add_filters(parser)
        parser.add_argument("--state", choices=[state.value for state in _QUEUE], help="default: all of them")

    def list_deletions(self, arguments: Namespace) -> None:
        """Print the queue."""
        states = [arguments.state] if arguments.state else _QUEUE
        rows = _selected(arguments).filter(state__in=states).order_by("state", "state_changed_at", "pk")
        if arguments.json:
            write_json_list(self.stdout, map(_as_json, rows.iterator(chunk_size=1_000)))
            return
        headers = ["FILE", "ACCOUNT", "ORGANIZATION", "STATE", "TRIES", "SINCE", "NEXT", "ERROR"]
        if not write_table(self.stdout, headers, map(_as_row, rows.iterator(chunk_size=1_000))):
            self.say("Nothing waits to be deleted.")

    def _declare_retry(self) -> None:
        parser = self.subcommand(
            "retry",
            self.retry,
            text="Put deletes that were given up back into the queue, with a new day of attempts.",
            examples="""
                manage.py deletions retry file-abc123
                manage.py deletions retry --all --account acme/openai
                manage.py deletions retry --all --dry-run
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="*", help="the files' ids")
        parser.add_argument("--all", action="store_true", help="every delete that was given up")
        _add_filters(parser)
        add_dry_run(parser)

    def retry(self, arguments: Namespace) -> None:
        """Retry dead deletes and report them."""
        if bool(arguments.files) == arguments.all:
            raise CommandError("Give the ids of files, or --all.", returncode=USAGE_ERROR)
        dead = _selected(arguments).filter(state=CopyState.DEAD)
        if arguments.files:
            dead = dead.filter(file__file_id__in=arguments.files)
        retried = [copy for batch in in_batches(dead) for copy in batch if self._retry(copy, arguments)]
        if arguments.json:
            self.write_json([_as_json(copy) for copy in retried])
        else:
            would = "would be " if arguments.dry_run else ""
            for copy in retried:
                self.stdout.write(f"{copy.file.file_id}  {would}sent again to {copy.account.full_name}")
        missing = sorted(set(arguments.files) - {copy.file.file_id for copy in retried})
        if missing:
            raise CommandError(printable(f"Not given up, so not retried: {', '.join(missing)}."))
        if not retried:
            self.say("No delete was given up.")

    def _retry(self, copy: FileCopy, arguments: Namespace) -> bool:
        return arguments.dry_run or retry_dead(copy, caller=command_caller(copy.file.organization_id))

    def _declare_give_up(self) -> None:
        parser = self.subcommand(
            "give-up",
            self.give_up,
            text="Stop deleting files at their providers, which keep what they still hold. The reason goes "
            "into the audit trail.",
            examples="""
                manage.py deletions give-up file-abc123 --reason "the provider's account was closed"
                manage.py deletions give-up file-abc123 --reason closed --yes
            """,
        )
        parser.add_argument("files", metavar="ID", nargs="+", help="- reads ids from standard input")
        parser.add_argument("--reason", required=True, help="why the provider may keep the bytes")
        _add_filters(parser)
        add_yes(parser)
        add_dry_run(parser)

    def give_up(self, arguments: Namespace) -> None:
        """Give deletes up and report them."""
        ids = named_or_read(arguments.files)
        waiting = _selected(arguments).filter(state__in=(CopyState.DELETING, CopyState.DEAD))
        copies = list(waiting.filter(file__file_id__in=ids))
        if copies and not arguments.dry_run:
            self.confirm(f"Leave {counted(len(copies), 'file')} at the provider for good?", arguments)
        given_up = [copy for copy in copies if self._give_up(copy, arguments)]
        if arguments.json:
            self.write_json([_as_json(copy) for copy in given_up])
        else:
            would = "would be " if arguments.dry_run else ""
            for copy in given_up:
                words = f"{would}given up: {copy.account.full_name} may keep its bytes"
                self.stdout.write(printable(f"{copy.file.file_id}  {words}"))
        missing = sorted(set(ids) - {copy.file.file_id for copy in given_up})
        if missing:
            raise CommandError(printable(f"No delete of these waits: {', '.join(missing)}."))

    def _give_up(self, copy: FileCopy, arguments: Namespace) -> bool:
        caller = command_caller(copy.file.organization_id)
        return arguments.dry_run or give_up(copy, caller=caller, reason=arguments.reason)

    def _declare_drain(self) -> None:
        parser = self.subcommand(
            "drain",
            self.drain,
            text="Carry out the deletes that are due in this process, without broker and worker. "
            "Each is tried once. Exit code 1 when one fails; it stays in the queue.",
            examples="""
                manage.py deletions drain
                manage.py deletions drain --early          also those whose next attempt is later
                manage.py deletions drain --dry-run
            """,
        )
        parser.add_argument("--early", action="store_true", help="also those whose next attempt is later")
        add_dry_run(parser)

    def drain(self, arguments: Namespace) -> None:
        """Deliver the deletes and report each."""
        if arguments.dry_run:
            self._show_waiting(arguments)
            return
        total = waiting(early=arguments.early).count()
        results = []
        with self.progress("deleting", total) as progress:
            for delivery in drain(early=arguments.early):
                outcome = delivery.state.value if delivery.state else "busy elsewhere"
                results.append(_as_json(delivery.copy) | {"outcome": outcome})
                progress.advance()
        if arguments.json:
            self.write_json(results)
        else:
            for result in results:
                error = f": {result['last_error']}" if result["last_error"] else ""
                self.stdout.write(printable(f"{result['id']}  {result['outcome']}{error}"))
        failed = sum(result["outcome"] in {CopyState.DELETING, CopyState.DEAD} for result in results)
        if failed:
            raise CommandError(
                f"{counted(failed, 'delete')} of {len(results)} failed and will be tried again."
            )
        if not results:
            self.say("No delete is due.")

    def _show_waiting(self, arguments: Namespace) -> None:
        rows = waiting(early=arguments.early)
        if arguments.json:
            write_json_list(self.stdout, map(_as_json, rows.iterator(chunk_size=1_000)))
        else:
            self.stdout.write(f"would try {counted(rows.count(), 'delete')}")


def _add_filters(parser: ArgumentParser) -> None:
    add_organization(parser)
    add_account(parser)


def _selected(arguments: Namespace) -> FileCopyQuerySet:
    rows = FileCopy.objects.select_related("account__organization", "file__organization", "file__account")
    organization, account = scope_of(arguments)
    if organization is not None:
        rows = rows.filter(file__organization=organization)
    return rows if account is None else rows.filter(account=account)


def _as_row(copy: FileCopy) -> tuple[Any, ...]:
    return (
        copy.file.file_id,
        copy.account.full_name,
        copy.file.organization.name,
        copy.state,
        copy.attempts,
        age(copy.state_changed_at),
        copy.next_attempt_at,
        copy.last_error,
    )


def _as_json(copy: FileCopy) -> dict[str, Any]:
    return {"id": copy.file.file_id, "organization": copy.file.organization.name} | copy_record(copy)
