"""`manage.py audit list`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils import timezone

from files_app.management.arguments import add_organization, count, lifetime
from files_app.management.base import GroupCommand
from files_app.management.output import shown, write_json_list, write_table
from files_app.management.references import organization_named
from files_app.models import AuditAction, AuditEvent
from files_app.models.records import AuditEventQuerySet

_LISTED_ROWS = 50


class Command(GroupCommand):
    """Who did what to which object, with which result."""

    help = "Show the audit trail. It is written by what happens, and nobody changes it."
    examples = """
        manage.py audit list --since 1d
        manage.py audit list --action account.sync --failed
        manage.py audit list --object file-abc123 --json
    """

    def add_subcommands(self) -> None:
        """Declare the subcommand."""
        parser = self.subcommand(
            "list",
            self.list_events,
            text="List events, newest first.",
            examples="""
                manage.py audit list --action user.sign_in --failed --since 1d
                manage.py audit list --actor ci --organization acme
                manage.py audit list --request req_0123456789abcdef
                manage.py audit list --since 7d --limit 0 --json > audit.json
            """,
        )
        add_organization(parser)
        parser.add_argument(
            "--action", choices=AuditAction.values, metavar="ACTION", help="such as file.delete"
        )
        parser.add_argument("--actor", metavar="NAME", help="a key, a user, or who ran a command")
        parser.add_argument(
            "--object", metavar="ID", help="a file's id, or a name of an account, key or user"
        )
        parser.add_argument("--account", metavar="NAME", help="only about this provider account")
        parser.add_argument("--request", metavar="ID", help="the x-request-id of an answer")
        parser.add_argument("--ip", metavar="ADDRESS", help="only from this address")
        parser.add_argument("--failed", action="store_true", help="only what did not work")
        parser.add_argument("--since", type=lifetime, metavar="TIME", help="such as 12h, 7d or 8w")
        parser.add_argument(
            "--limit", type=count, default=_LISTED_ROWS, help=f"how many; 0 for all; default {_LISTED_ROWS}"
        )

    def list_events(self, arguments: Namespace) -> None:
        """Print events."""
        events = _wanted(arguments).select_related("organization").order_by("-created_at", "-id")
        rows = (events[: arguments.limit] if arguments.limit else events).iterator(chunk_size=1_000)
        if arguments.json:
            write_json_list(self.stdout, map(_as_json, rows))
            return
        headers = [
            "TIME",
            "ACTION",
            "OBJECT",
            "ACCOUNT",
            "ACTOR",
            "ORGANIZATION",
            "RESULT",
            "FROM",
            "DETAILS",
        ]
        number = write_table(self.stdout, headers, map(_as_row, rows))
        if not number:
            self.say("No event matches.")
        elif number == arguments.limit:
            self.say(f"The newest {number} are shown; --limit shows more.")


def _wanted(arguments: Namespace) -> AuditEventQuerySet:
    return AuditEvent.objects.filter(*_conditions(arguments))


def _conditions(arguments: Namespace) -> Iterator[Q]:
    columns = {
        "action": arguments.action,
        "actor": arguments.actor,
        "object_id": arguments.object,
        "account_name": arguments.account,
        "request_id": arguments.request,
        "ip": arguments.ip,
    }
    yield Q(**{name: value for name, value in columns.items() if value})
    if arguments.organization:
        yield Q(organization=organization_named(arguments.organization))
    if arguments.failed:
        yield ~Q(result="ok")
    if arguments.since:
        yield Q(created_at__gt=timezone.now() - arguments.since)


def _organization(event: AuditEvent) -> str | None:
    """Return whose it is; an organization may be gone."""
    if event.organization_id is None:
        return None
    return event.organization.name if event.organization else f"#{event.organization_id}"


def _as_row(event: AuditEvent) -> tuple[Any, ...]:
    details = ", ".join(f"{name}={shown(value)}" for name, value in event.details.items())
    return (
        event.created_at,
        event.action,
        event.object_id,
        event.account_name,
        event.actor or event.get_actor_type_display(),
        _organization(event),
        event.result,
        event.ip,
        details,
    )


def _as_json(event: AuditEvent) -> dict[str, Any]:
    names = ("action", "object_type", "object_id", "account_name", "actor_type", "actor", "result", "ip")
    return {
        "time": event.created_at,
        "organization": _organization(event),
        **{name: getattr(event, name) for name in names},
        "request_id": event.request_id,
        "details": event.details,
    }
