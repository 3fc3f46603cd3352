"""`manage.py apply config.yaml`."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from files_app.management.base import GatewayCommand
from files_app.management.output import printable
from files_app.services.operations.heartbeats import lacks
from files_app.services.tenants.configuration import apply_configuration
from files_app.services.tenants.configuration_file import ConfigurationFileError


class Command(GatewayCommand):
    """Create and update organizations, API keys and provider accounts from a YAML file."""

    help = (
        "Create and update organizations, API keys, provider accounts and webhooks from a YAML file. What "
        "the file does not mention stays as it is; the same file applied twice changes nothing. Secrets may "
        "be references: env:NAME or file:/path. A key without a value is made and shown once."
    )

    examples = """
        manage.py apply gateway.yaml --dry-run
        manage.py apply gateway.yaml
        envsubst < gateway.yaml | manage.py apply - --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the YAML file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
        parser.add_argument(
            "--prune", action="store_true", help="also remove keys and accounts that the file leaves out"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def run(self, arguments: Namespace) -> None:
        """Apply and report."""
        try:
            applied = apply_configuration(
                _read(arguments.file), prune=arguments.prune, dry_run=arguments.dry_run
            )
        except ConfigurationFileError as exc:
            raise CommandError(printable(f"{arguments.file}: {exc} Nothing was applied.")) from None
        if arguments.json:
            self.write_json(
                {
                    "changes": applied.changes,
                    "new_keys": applied.new_keys,
                    "new_webhooks": applied.new_webhooks,
                }
            )
            self._warn(arguments)
            return
        would = "would have " if arguments.dry_run else ""
        for change in applied.changes or ["nothing changed"]:
            self.stdout.write(f"{would if applied.changes else ''}{change}")
        for name, key in applied.new_keys.items():
            self.stdout.write(f"API key {name}, shown only now: {key}")
        for name, secret in applied.new_webhooks.items():
            self.stdout.write(f"Secret of webhook {name}, shown only now: {secret}")
        self._warn(arguments)

    def _warn(self, arguments: Namespace) -> None:
        """Say what the running gateway lacks, which this shell may have."""
        for lack in [] if arguments.dry_run else lacks():
            self.say(f"Warning: {lack}")


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"Cannot read {name}: {exc.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"Cannot read {name}: it is no text in UTF-8.") from None
