"""`manage.py webhooks create|list|change|rotate|enable|disable|delete|deliveries|resend|test`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from files_app.management.arguments import add_organization, add_yes, count, lifetime
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import printable, write_table
from files_app.management.references import organization_named
from files_app.management.webhook_references import delivery_of, endpoint_named, given_up
from files_app.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from files_app.models.webhooks import SUBSCRIBABLE
from files_app.services.webhooks import endpoints
from files_app.services.webhooks.endpoints import OVERLAP
from files_app.words import age

_SHOWN = 50


class Command(GroupCommand):
    """Where organizations are told what happens to their files."""

    help = "Manage webhook endpoints, and see and resend what they were sent. A secret is shown once."
    examples = """
        manage.py webhooks create --organization acme --name billing --url https://example.com/hooks
        manage.py webhooks deliveries --organization acme --state dead
        manage.py webhooks SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self._declare_create()
        self._declare_list()
        self._declare_change()
        rotate = self._declare("rotate", self.rotate, "Give an endpoint a new secret, which is shown once.")
        rotate.add_argument(
            "--overlap",
            type=lifetime,
            default=OVERLAP,
            metavar="TIME",
            help="how long the old secret signs besides, such as 1h or 7d; default: 24h",
        )
        rotate.add_argument("--at-once", action="store_true", help="no overlap: the old secret has leaked")
        self._declare("enable", self.enable, "Switch an endpoint on; what waits for it is sent.")
        self._declare(
            "disable", self.disable, "Switch an endpoint off. It is told nothing until it is on again."
        )
        add_yes(self._declare("delete", self.delete, "Remove an endpoint with its log of deliveries."))
        self._declare("test", self.test, "Send `webhook.test` to an endpoint now, and say how that went.")
        self._declare_log()

    def _declare(self, name: str, run: Callable[[Namespace], None], text: str) -> ArgumentParser:
        parser = self.subcommand(
            name,
            run,
            text=text,
            examples=f"""
                manage.py webhooks {name} billing --organization acme
                manage.py webhooks {name} billing --organization acme --json
            """,
        )
        parser.add_argument("endpoint", metavar="NAME", help="the endpoint's name")
        add_organization(parser, required=True)
        return parser

    # -- create, list, change ------------------------------------------------------------------------

    def _declare_create(self) -> None:
        parser = self.subcommand(
            "create",
            self.create,
            text="Create an endpoint and print its secret. Nothing can show it again.",
            examples="""
                manage.py webhooks create --organization acme --name billing --url https://example.com/hooks
                manage.py webhooks create --organization acme --name ops --url https://example.com/ops \\
                  --event file.failed --event organization.quota
            """,
        )
        add_organization(parser, required=True)
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument("--url", required=True, help="where it is; https://")
        _add_events(parser)

    def create(self, arguments: Namespace) -> None:
        """Create an endpoint and show its secret."""
        organization = organization_named(arguments.organization)
        endpoint, secret = endpoints.create_endpoint(
            organization,
            name=arguments.name,
            url=arguments.url,
            caller=command_caller(organization.pk),
            kinds=arguments.events or SUBSCRIBABLE,
            is_operators=True,
        )
        self._show_secret(endpoint, secret, arguments)

    def _declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_endpoints,
            text="List endpoints, and what waits for them.",
            examples="""
                manage.py webhooks list
                manage.py webhooks list --organization acme --json
            """,
        )
        add_organization(parser)

    def list_endpoints(self, arguments: Namespace) -> None:
        """Print the endpoints."""
        rows = WebhookEndpoint.objects.select_related("organization").order_by("organization__name", "name")
        if arguments.organization:
            rows = rows.filter(organization=organization_named(arguments.organization))
        records = [_record(row) for row in rows]
        if arguments.json:
            self.write_json(records)
            return
        headers = ["ORGANIZATION", "NAME", "URL", "STATE", "WAITING", "DEAD", "EVENTS"]
        if not write_table(self.stdout, headers, [[*each.values()] for each in records]):
            self.say("There is no webhook endpoint. `manage.py webhooks create` makes one.")

    def _declare_change(self) -> None:
        parser = self._declare("change", self.change, "Change where an endpoint is, or what it is told.")
        parser.add_argument("--url", help="its new address")
        _add_events(parser)

    def change(self, arguments: Namespace) -> None:
        """Change an endpoint."""
        endpoint = endpoint_named(arguments)
        given = {"url": arguments.url, "kinds": arguments.events}
        values = {name: value for name, value in given.items() if value}
        if not values:
            raise CommandError("Say what to change: --url or --event.", returncode=2)
        caller = command_caller(endpoint.organization_id)
        endpoints.change_endpoint(endpoint, caller=caller, is_operators=True, **values)
        self._told(endpoint, "changed", arguments)

    # -- one endpoint --------------------------------------------------------------------------------

    def rotate(self, arguments: Namespace) -> None:
        """Rotate an endpoint's secret and show the new one."""
        endpoint = endpoint_named(arguments)
        overlap = OVERLAP * 0 if arguments.at_once else arguments.overlap
        caller = command_caller(endpoint.organization_id)
        secret = endpoints.rotate_secret(endpoint, caller=caller, overlap=overlap)
        self._show_secret(endpoint, secret, arguments)

    def enable(self, arguments: Namespace) -> None:
        """Switch an endpoint on."""
        self._switch(arguments, is_enabled=True)

    def disable(self, arguments: Namespace) -> None:
        """Switch an endpoint off."""
        self._switch(arguments, is_enabled=False)

    def _switch(self, arguments: Namespace, *, is_enabled: bool) -> None:
        endpoint = endpoint_named(arguments)
        caller = command_caller(endpoint.organization_id)
        endpoints.switch_endpoint(endpoint, is_enabled=is_enabled, caller=caller)
        self._told(endpoint, "on" if is_enabled else "off", arguments)

    def delete(self, arguments: Namespace) -> None:
        """Remove an endpoint."""
        endpoint = endpoint_named(arguments)
        self.confirm(f"Remove the webhook endpoint {endpoint} and its log?", arguments)
        endpoints.delete_endpoint(endpoint, caller=command_caller(endpoint.organization_id))
        self._told(endpoint, "removed", arguments)

    def test(self, arguments: Namespace) -> None:
        """Send a test. Raises CommandError where it did not arrive."""
        endpoint = endpoint_named(arguments)
        row = endpoints.test_endpoint(endpoint, caller=command_caller(endpoint.organization_id))
        if arguments.json:
            self.write_json(_logged(row))
        elif row.state == DeliveryState.DELIVERED:
            self.say(f"{endpoint} answered {row.status_code}.")
        if row.state != DeliveryState.DELIVERED:
            raise CommandError(printable(f"{endpoint}: {row.last_error}"))

    # -- the log ---------------------------------------------------------------------------------------

    def _declare_log(self) -> None:
        parser = self.subcommand(
            "deliveries",
            self.deliveries,
            text="List what endpoints were sent and are to be sent, newest first.",
            examples="""
                manage.py webhooks deliveries --organization acme
                manage.py webhooks deliveries --organization acme --endpoint billing --state dead --json
            """,
        )
        add_organization(parser)
        parser.add_argument("--endpoint", metavar="NAME", help="only this endpoint")
        parser.add_argument("--state", choices=DeliveryState.values, help="only these")
        parser.add_argument("--limit", type=count, default=_SHOWN, metavar="N", help=f"default: {_SHOWN}")
        parser = self.subcommand(
            "resend",
            self.resend,
            text="Send messages again, each under its own id, with a day of attempts.",
            examples="""
                manage.py webhooks resend msg_0123456789abcdef0123456789ab --organization acme
                manage.py webhooks resend --all --organization acme --endpoint billing
            """,
        )
        parser.add_argument(
            "messages", nargs="*", metavar="MESSAGE", help="a webhook-id, as receivers get it"
        )
        parser.add_argument(
            "--all", action="store_true", help="all that was given up within a week, tests excepted"
        )
        add_organization(parser, required=True)
        parser.add_argument("--endpoint", metavar="NAME", help="only to this endpoint")

    def deliveries(self, arguments: Namespace) -> None:
        """Print the log."""
        rows = WebhookDelivery.objects.select_related("endpoint__organization").order_by("-created_at", "-pk")
        if arguments.organization:
            rows = rows.filter(endpoint__organization=organization_named(arguments.organization))
        narrowed = {"endpoint__name": arguments.endpoint, "state": arguments.state}
        rows = rows.filter(**{name: value for name, value in narrowed.items() if value})
        records = [_logged(row) for row in rows[: arguments.limit]]
        if arguments.json:
            self.write_json(records)
            return
        headers = [
            "MESSAGE",
            "ORGANIZATION",
            "ENDPOINT",
            "EVENT",
            "STATE",
            "ATTEMPTS",
            "ANSWER",
            "AGE",
            "ERROR",
        ]
        cells = ([*{**each, "created_at": age(each["created_at"])}.values()] for each in records)
        if not write_table(self.stdout, headers, cells):
            self.say("Nothing was sent.")

    def resend(self, arguments: Namespace) -> None:
        """Send messages again."""
        if bool(arguments.messages) == arguments.all:
            raise CommandError("Give the ids of messages, or --all.", returncode=2)
        named = [row for message in arguments.messages for row in delivery_of(message, arguments)]
        rows = given_up(arguments) if arguments.all else named
        for row in rows:
            endpoints.resend(row, caller=command_caller(row.endpoint.organization_id))
        if arguments.json:
            self.write_json([row.message_id for row in rows])
        else:
            self.say(f"{len(rows)} sent again.")

    # -- what is said ----------------------------------------------------------------------------------

    def _told(self, endpoint: WebhookEndpoint, what: str, arguments: Namespace) -> None:
        if arguments.json:
            self.write_json({"name": endpoint.name, "result": what})
        else:
            self.say(f"Webhook endpoint {endpoint}: {what}.")

    def _show_secret(self, endpoint: WebhookEndpoint, secret: str, arguments: Namespace) -> None:
        until = endpoint.overlap_ends_at
        if arguments.json:
            self.write_json({"name": endpoint.name, "secret": secret, "overlap_ends_at": until})
            return
        self.stdout.write(secret)
        self.say("This is the only time that the secret is shown. Receivers verify signatures with it.")
        if until:
            self.say(f"The old secret signs too, until {until:%Y-%m-%d %H:%M} UTC.")


def _add_events(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--event",
        dest="events",
        action="append",
        choices=SUBSCRIBABLE,
        help="what it is told, once or more; without it, everything",
    )


def _record(row: WebhookEndpoint) -> dict[str, Any]:
    waiting = row.deliveries.filter(state=DeliveryState.PENDING).count()
    return {
        "organization": row.organization.name,
        "name": row.name,
        "url": row.url,
        "state": "on" if row.is_enabled else row.disabled_reason or "off",
        "waiting": waiting,
        "dead": row.deliveries.filter(state=DeliveryState.DEAD).count(),
        "events": "all" if len(row.kinds) == len(SUBSCRIBABLE) else row.kinds,
    }


def _logged(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "message": row.message_id,
        "organization": row.endpoint.organization.name,
        "endpoint": row.endpoint.name,
        "event": row.kind,
        "state": row.state,
        "attempts": row.attempts,
        "answer": row.status_code,
        "created_at": row.created_at,
        "error": row.last_error,
    }
