"""`manage.py completion bash|zsh`."""

from __future__ import annotations

from argparse import Namespace

from django.core.management.base import CommandParser

from files_app.management.base import GatewayCommand
from files_app.management.completion import script


class Command(GatewayCommand):
    """Completion for a shell."""

    help = (
        "Print what lets bash or zsh complete the gateway's commands, their options and what these may be. "
        "Make it anew after an upgrade."
    )
    examples = """
        manage.py completion bash > /etc/bash_completion.d/files-gateway
        source <(manage.py completion zsh)
        alias gateway='/srv/gateway/.venv/bin/python /srv/gateway/manage.py'
        source <(gateway completion bash --program gateway)
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("shell", choices=["bash", "zsh"])
        parser.add_argument(
            "--program", default="manage.py", metavar="NAME", help="what is typed; default: manage.py"
        )

    def run(self, arguments: Namespace) -> None:
        """Print the script."""
        self.stdout.write(script(arguments.shell, arguments.program), ending="")
