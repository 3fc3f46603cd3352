"""`manage.py retention list|preview`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from django.core.management.base import CommandError

from files_app.management.arguments import add_account, add_organization
from files_app.management.base import GroupCommand
from files_app.management.output import write_table
from files_app.management.references import scope_of
from files_app.models import RetentionRule
from files_app.models.retention import LONGEST_SECONDS
from files_app.services.retention.enforcement import Ending, Going, preview
from files_app.words import duration, seconds_in, short_bytes

_VALUES = ("default_expiry_seconds", *(ending.value for ending in Ending))


class Command(GroupCommand):
    """How long files live, by the operator's rules."""

    help = "List retention rules, and show what they, or one that is only thought of, would remove now."
    examples = """
        manage.py retention list
        manage.py retention preview --organization acme --longest-life 90d
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        parser = self.subcommand(
            "list",
            self.list_rules,
            text="List the rules. `manage.py apply` and the admin change them.",
            examples="""
                manage.py retention list
                manage.py retention list --organization acme --json
            """,
        )
        add_organization(parser)
        parser = self.subcommand(
            "preview",
            self.preview,
            text="Show what the rules would remove now; with a time, what one rule of that time would.",
            examples="""
                manage.py retention preview
                manage.py retention preview --organization acme --purpose batch --longest-life 90d
                manage.py retention preview --organization acme --failed-after 30d --json
            """,
        )
        add_organization(parser)
        add_account(parser)
        parser.add_argument("--purpose", default="", help="only files of this purpose")
        _add_times(parser)

    def list_rules(self, arguments: Namespace) -> None:
        """Print the rules."""
        organization, _ = scope_of(Namespace(organization=arguments.organization, account=None))
        rules = RetentionRule.objects.select_related("organization", "account")
        rules = rules if organization is None else rules.filter(organization=organization)
        records = [rule_record(rule) for rule in rules]
        if arguments.json:
            self.write_json(records)
            return
        headers = ["ORGANIZATION", "ACCOUNT", "PURPOSE", "EXPIRES", "AT MOST", "LOST", "FAILED", "AUDIT DAYS"]
        rows = [[*record.values()] for record in map(_in_words, records)]
        if not write_table(self.stdout, headers, rows):
            self.say("There is no rule: files live as long as their clients and providers say.")

    def preview(self, arguments: Namespace) -> None:
        """Print what would go."""
        organization, account = scope_of(arguments)
        rules = list(RetentionRule.objects.select_related("organization", "account"))
        times = {ending.value: getattr(arguments, ending.value) for ending in Ending}
        if any(times.values()):
            if organization is None and account is None:
                raise CommandError("Say for which organization or account.", returncode=2)
            thought = RetentionRule(
                organization=organization or (account.organization if account else None),
                account=account,
                purpose=arguments.purpose,
                **times,
            )
            same = (thought.organization_id, thought.account_id, thought.purpose)
            others = [r for r in rules if (r.organization_id, r.account_id, r.purpose) != same]
            found = [each for each in preview([thought, *others]) if each.rule is thought]
        else:
            found = preview(rules, only=organization)
        self._show([each for each in found if each.files or each.held or arguments.json], arguments)

    def _show(self, found: list[Going], arguments: Namespace) -> None:
        if arguments.json:
            self.write_json([_as_json(each) for each in found])
            return
        headers = ["RULE", "VALUE", "FILES", "BYTES", "ON HOLD", "OLDEST"]
        rows = (
            (each.rule, _value(each), each.files, short_bytes(each.bytes), each.held, each.oldest)
            for each in found
        )
        if not write_table(self.stdout, headers, rows):
            self.say("Nothing would go.")


def _add_times(parser: ArgumentParser) -> None:
    for ending in Ending:
        name = ending.value.removesuffix("_seconds").replace("_", "-")
        parser.add_argument(f"--{name}", dest=ending.value, type=_seconds, metavar="TIME", help="such as 90d")


def _seconds(text: str) -> int:
    seconds = seconds_in(text)
    if seconds is None or seconds > LONGEST_SECONDS:
        raise ArgumentTypeError(f"{text!r} is no time such as 12h, 90d or 8w")
    return seconds


def rule_record(rule: RetentionRule) -> dict[str, Any]:
    """Return a rule as operators see it."""
    return {
        "organization": rule.organization.name if rule.organization else None,
        "account": rule.account.name if rule.account else None,
        "purpose": rule.purpose or None,
        **{name: getattr(rule, name) for name in _VALUES},
        "keep_audit_days": rule.keep_audit_days,
    }


def _in_words(record: dict[str, Any]) -> dict[str, Any]:
    times = {name: value and duration(value) for name, value in record.items() if name in _VALUES}
    everybody = {"organization": record["organization"] or "every"}
    return {**record, **times, **everybody}


def _value(each: Going) -> str:
    seconds = getattr(each.rule, each.ending.value)
    return f"{each.ending.label} {duration(seconds)}"


def _as_json(each: Going) -> dict[str, Any]:
    return {
        **rule_record(each.rule),
        "value": each.ending.value,
        "files": each.files,
        "bytes": each.bytes,
        "held": each.held,
        "oldest": each.oldest,
    }
