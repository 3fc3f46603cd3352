"""The base of the gateway's commands: subcommands, one line for every error, exit codes.

Exit codes: 0 done; 1 not done, or problems were found; 2 the command line cannot be used as it is.
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError, InterfaceError, connection

from files_app.exceptions import GatewayError
from files_app.management.output import Progress, printable, write_json
from files_app.models import AuditEvent
from files_app.observability import logs
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import DAMAGED_FIX, is_damaged
from providers.exceptions import ProviderConfigurationError, ProviderError

USAGE_ERROR = 2
_INTERRUPTED = 130
_PIPE_CLOSED = 141
_EXAMPLES = "examples:\n"
#: How SQLite and PostgreSQL say that a migration has not been here.
_LACKS_TABLES = re.compile(r"no such (table|column)|(relation|column) .* does not exist")


class HelpFormatter(DjangoHelpFormatter):
    """Keeps the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLES) else super()._fill_text(text, width, indent)


class GatewayCommand(BaseCommand):
    """A command without subcommands; `work` does it. `examples` stand below the help."""

    requires_system_checks = []  # `doctor` and `check` run them
    examples: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Let the help end with examples."""
        kwargs.setdefault("formatter_class", HelpFormatter)
        kwargs.setdefault("epilog", _epilog(self.examples))
        return super().create_parser(prog_name, subcommand, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        """Keep log lines out of the results, and print what the terminal's encoding lacks as escapes."""
        logs.configure({"format": settings.LOG_FORMAT, "level": settings.LOG_LEVEL}, stream="stderr")
        for stream in sys.stdout, sys.stderr:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the work; whatever fails becomes one line that says what to do."""
        with plain_errors():
            try:
                self.run(Namespace(**options))
                self.stdout.flush()
            except BrokenPipeError:  # the reader, such as `head`, has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(_PIPE_CLOSED)

    def run(self, arguments: Namespace) -> None:
        """Do the work of the command."""
        raise NotImplementedError

    def progress(self, label: str, total: int | None = None, *, in_bytes: bool = False) -> Progress:
        """Return a progress line on standard error."""
        return Progress(self.stderr, label, total, in_bytes=in_bytes)

    def say(self, text: str) -> None:
        """Tell the person something that is no result."""
        self.stderr.write(printable(text), self.style.NOTICE)

    def confirm(self, question: str, arguments: Namespace) -> None:
        """Go on only when the person agrees. Raises CommandError."""
        if arguments.yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Add --yes to do it without being asked.", returncode=USAGE_ERROR)
        self.stderr.write(f"{printable(question)} [y/N] ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")

    def write_json(self, value: object) -> None:
        """Write the result as one JSON document."""
        write_json(self.stdout, value)


class GroupCommand(GatewayCommand):
    """A command made of subcommands; subclasses add them in `add_subcommands`."""

    def add_arguments(self, parser: CommandParser) -> None:
        self._subparsers = parser.add_subparsers(
            dest="subcommand", required=True, metavar="SUBCOMMAND", title="subcommands"
        )
        self.add_subcommands()

    def add_subcommands(self) -> None:
        """Declare each subcommand with `subcommand`."""
        raise NotImplementedError

    def subcommand(
        self, name: str, run: Callable[[Namespace], None], *, text: str, examples: str
    ) -> ArgumentParser:
        """Declare one subcommand and return its parser."""
        parser: ArgumentParser = self._subparsers.add_parser(
            name,
            help=text.partition(". ")[0].rstrip("."),
            description=text,
            epilog=_epilog(examples),
            formatter_class=HelpFormatter,
        )
        parser.set_defaults(run=run)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        return parser

    def run(self, arguments: Namespace) -> None:
        """Run the subcommand."""
        arguments.run(arguments)


def command_caller(organization_id: int | None = None) -> Caller:
    """Return the person at the command line as the origin of a change."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"uid {os.getuid()}"
    return Caller(organization_id or 0, actor_type=AuditEvent.Actor.COMMAND, actor=user)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what a person can do something about into a CommandError of one line."""
    try:
        yield
    except GatewayError as exc:
        raise CommandError(printable(exc.message)) from exc
    except ProviderError as exc:
        name = f"{exc.provider}: " if exc.provider else ""
        raise CommandError(printable(name + exc.message)) from exc
    except ProviderConfigurationError as exc:
        raise CommandError(printable(str(exc))) from exc
    except (DatabaseError, InterfaceError) as exc:
        reason = printable(str(exc).strip().partition("\n")[0])
        if is_damaged(exc):
            raise CommandError(f"The database's file is damaged: {reason}. {DAMAGED_FIX}") from exc
        if _LACKS_TABLES.search(reason):
            raise CommandError(
                f"The database was not set up by this version yet ({reason}). Start the gateway once, or run "
                "`manage.py bootstrap`."
            ) from exc
        if connection.connection is None:
            raise CommandError(
                f"The database cannot be reached: {reason}. Check DATABASE_URL, and that its server runs."
            ) from exc
        raise CommandError(
            f"The database cannot do this: {reason}. `manage.py migrate` brings it up to date; "
            "`manage.py doctor` says what else is wrong."
        ) from exc
    except KeyboardInterrupt:
        raise CommandError("Interrupted.", returncode=_INTERRUPTED) from None


def _epilog(examples: str) -> str | None:
    lines = [line.strip() for line in examples.strip().splitlines()]
    return _EXAMPLES + "\n".join(f"  {line}" for line in lines) if examples else None
