"""`manage.py rotate_encryption_keys`."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter

from django.core.management.base import CommandError, CommandParser

from files_app.management.arguments import add_dry_run
from files_app.management.base import GatewayCommand, command_caller
from files_app.management.output import counted, printable
from files_app.models import ProviderAccount
from files_app.services.accounts.rotation import Rotation, rotate_credentials
from files_app.services.tenants.sign_in.factors import Resealed, reseal_all
from files_app.services.webhooks import endpoints as webhooks


class Command(GatewayCommand):
    """Encrypt every account's credentials with the first of FIELD_ENCRYPTION_KEYS."""

    help = (
        "Encrypt the credentials of every provider account, second factors and secrets of webhooks with the "
        "first of FIELD_ENCRYPTION_KEYS. Put a new key in front of the list, restart every process, run this "
        "command, take the old key off the list. A run that was broken off is simply started again. Exit "
        "code 1 when something cannot be decrypted with any key of the list."
    )
    examples = """
        manage.py rotate_encryption_keys --dry-run
        manage.py rotate_encryption_keys
    """

    def add_arguments(self, parser: CommandParser) -> None:
        add_dry_run(parser)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def run(self, arguments: Namespace) -> None:
        """Rotate and report."""
        counts: Counter[Rotation] = Counter()
        failures = []
        total = ProviderAccount.objects.exclude(credentials="").count()
        with self.progress("encrypting", total) as progress:
            for result in rotate_credentials(caller=command_caller(), dry_run=arguments.dry_run):
                counts[result.rotation] += 1
                if result.rotation == Rotation.FAILED:
                    failures.append({"account": result.account.full_name, "detail": result.detail})
                progress.advance()
        factors = reseal_all(dry_run=arguments.dry_run)
        hooks = webhooks.reseal_all(dry_run=arguments.dry_run)
        if arguments.json:
            numbers = {rotation.value: counts[rotation] for rotation in Rotation}
            others = {
                kind: {"rotated": each.resealed, "unreadable": each.unreadable}
                for kind, each in (("second_factors", factors), ("webhooks", hooks))
            }
            self.write_json({"dry_run": arguments.dry_run, **numbers, "failures": failures, **others})
        else:
            self._show(counts, failures, factors, hooks, arguments)
        _refuse_to_end(counts, failures, factors, hooks)

    def _show(
        self,
        counts: Counter[Rotation],
        failures: list[dict[str, str]],
        factors: Resealed,
        hooks: webhooks.Resealed,
        arguments: Namespace,
    ) -> None:
        would = "would be " if arguments.dry_run else ""
        rotated = counted(counts[Rotation.ROTATED], "account")
        self.stdout.write(
            f"{rotated} {would}encrypted anew, {counts[Rotation.CURRENT]} had the first key already"
        )
        for resealed, noun in ((factors.resealed, "second factor"), (hooks.resealed, "webhook")):
            if resealed:
                self.stdout.write(f"{counted(resealed, noun)} {would}encrypted anew")
        for failure in failures:
            self.stdout.write(printable(f"  {failure['account']}: {failure['detail']}"))
        is_done = not failures and not factors.unreadable and not hooks.unreadable
        if is_done and not arguments.dry_run:
            self.stdout.write("Every account has the first key: the others can be taken off the list.")


def _refuse_to_end(
    counts: Counter[Rotation], failures: list[dict[str, str]], factors: Resealed, hooks: webhooks.Resealed
) -> None:
    """Raise CommandError for what no key fits."""
    if failures:
        raise CommandError(
            f"{counted(len(failures), 'account')} of {counts.total()} cannot be decrypted. Keep every "
            "key on the list; add the missing one behind the first, or enter these credentials again."
        )
    if factors.unreadable:
        raise CommandError(
            f"The second factors of {', '.join(factors.unreadable)} cannot be decrypted. Keep every "
            "key on the list and add the missing one, or `manage.py sign_in reset-second-factor` them."
        )
    if hooks.unreadable:
        raise CommandError(
            f"The secrets of the webhooks {', '.join(hooks.unreadable)} cannot be decrypted. Keep every "
            "key on the list and add the missing one, or `manage.py webhooks delete` and create them."
        )
