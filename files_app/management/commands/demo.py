"""`manage.py demo`: a gateway that looks lived in, for whoever wants to see it before using it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from django.core.management.base import CommandParser

from files_app.management.base import GatewayCommand
from files_app.services.operations import demo


class Command(GatewayCommand):
    """Fill the gateway with made-up data, and take it away again."""

    help = (
        "Fill an empty gateway with made-up organizations, accounts, files, failures and a month of events, "
        "so that the admin has something to show. No provider is asked: its accounts are on disk or switched "
        "off. A second run changes nothing; --remove takes all of it away, and nothing else."
    )

    examples = """
        manage.py demo
        manage.py demo --remove
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", action="store_true", help="take the demo away")
        parser.add_argument(
            "--beside-real-data",
            action="store_true",
            help="make it although the gateway holds data of its own",
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def run(self, arguments: Namespace) -> None:
        """Build or remove, and report."""
        found = demo.remove() if arguments.remove else demo.build(beside_real_data=arguments.beside_real_data)
        if arguments.json:
            self.write_json(asdict(found))
            return
        what = f"{found.organizations} organizations, {found.files} files, {found.events} events"
        if arguments.remove:
            self.stdout.write(f"Removed: {what}." if found.organizations else "There is no demo to remove.")
        else:
            self.stdout.write(f"The demo is there: {what}. `manage.py demo --remove` takes it away.")
