"""`manage.py keys create|list|limit|revoke|rotate|end-overlap`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from files_app.management.arguments import add_dry_run, add_organization, add_yes, lifetime
from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import printable, write_table
from files_app.management.rates import add_rates, in_words, rates_in
from files_app.management.references import key_named, organization_named
from files_app.models import ApiKey
from files_app.models.organizations import RATE_LIMITS, all_scopes
from files_app.services.tenants.key_rotation import AT_ONCE, end_overlap, rotate_key, working_secret
from files_app.services.tenants.keys import check_new_key, create_key, revoke_key
from files_app.services.tenants.rates import set_rates
from files_app.words import age, readable_seconds


class Command(GroupCommand):
    """API keys of every organization."""

    help = "Create, list, limit, revoke and rotate API keys. A key is shown once, when it is made."
    examples = """
        manage.py keys create --organization acme --name ci
        manage.py keys rotate ci --organization acme
        manage.py keys SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the six subcommands."""
        self._declare_create()
        self._declare_list()
        self._declare_limit()
        self._declare(
            "revoke",
            self.revoke,
            "Revoke a key with all of its secrets. Every process refuses it within five seconds.",
        )
        rotate = self._declare(
            "rotate",
            self.rotate,
            "Give a key a new secret, which is shown once. Name, scopes, expiry, rates and files stay.",
            "manage.py keys rotate ci --organization acme --overlap 24h",
        )
        rotate.add_argument(
            "--overlap",
            type=lifetime,
            default=AT_ONCE,
            metavar="TIME",
            help="how long the old secret works besides, such as 1h, 24h or 7d; default: not at all",
        )
        self._declare(
            "end-overlap",
            self.end_overlap,
            "Refuse the old secret of a rotated key now, before its time is over.",
        )

    def _declare(
        self, name: str, run: Callable[[Namespace], None], text: str, example: str = ""
    ) -> ArgumentParser:
        parser = self.subcommand(
            name,
            run,
            text=text,
            examples=f"""
                manage.py keys {name} ci --organization acme
                {example or f"manage.py keys {name} fgw_a1B2c3D4 --yes"}
                manage.py keys {name} ci --organization acme --dry-run
            """,
        )
        parser.add_argument("key", metavar="KEY", help="the key's name, or its first twelve characters")
        add_organization(parser)
        add_yes(parser)
        add_dry_run(parser)
        return parser

    # -- create ------------------------------------------------------------------------------------

    def _declare_create(self) -> None:
        parser = self.subcommand(
            "create",
            self.create,
            text="Create a key and print it. Nothing can show it again.",
            examples="""
                manage.py keys create --organization acme --name ci
                manage.py keys create --organization acme --name reader --scope files:read --expires-in 90d
                manage.py keys create --organization acme --name ci --json | jq -r .key
            """,
        )
        add_organization(parser, required=True)
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            choices=all_scopes(),
            help="what the key may do, once or more; default: everything",
        )
        parser.add_argument("--expires-in", type=lifetime, metavar="TIME", help="such as 12h, 90d or 8w")
        add_rates(parser)
        add_dry_run(parser)

    def create(self, arguments: Namespace) -> None:
        """Create a key and show it."""
        organization = organization_named(arguments.organization)
        expires_at = timezone.now() + arguments.expires_in if arguments.expires_in else None
        if arguments.dry_run:
            row = ApiKey(
                organization=organization,
                name=arguments.name,
                last_four="....",
                expires_at=expires_at,
                **rates_in(arguments),
            )
            check_new_key(row)
            self._show_plan(f"would create the key {row.name} of {organization.name}", arguments)
            return
        row, plain = create_key(
            organization=organization,
            name=arguments.name,
            caller=command_caller(organization.pk),
            scopes=arguments.scopes,
            expires_at=expires_at,
            rates=rates_in(arguments),
        )
        self._show_new(row, plain, arguments)

    def _show_new(self, row: ApiKey, plain: str, arguments: Namespace) -> None:
        if arguments.json:
            self.write_json(_as_json(row) | {"key": plain})
            return
        self.say(f"Key {row.name} of {row.organization.name}, shown only now:")
        self.stdout.write(plain)

    def _show_plan(self, plan: str, arguments: Namespace) -> None:
        if arguments.json:
            self.write_json({"dry_run": True, "plan": plan})
        else:
            self.stdout.write(printable(plan))

    # -- list, revoke, rotate ----------------------------------------------------------------------

    def _declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_keys,
            text="List keys, without what is secret of them.",
            examples="""
                manage.py keys list
                manage.py keys list --organization acme --all
                manage.py keys list --json
            """,
        )
        add_organization(parser)
        parser.add_argument("--all", action="store_true", help="also revoked keys")

    def list_keys(self, arguments: Namespace) -> None:
        """Print the keys."""
        rows = ApiKey.objects.select_related("organization").order_by("organization__name", "name", "pk")
        rows = rows.prefetch_related("retired_secrets")
        if arguments.organization:
            rows = rows.filter(organization=organization_named(arguments.organization))
        if not arguments.all:
            rows = rows.filter(revoked_at=None)
        if arguments.json:
            self.write_json([_as_json(row) for row in rows])
            return
        headers = ["ORGANIZATION", "NAME", "KEY", "SCOPES", "STATE", "LAST USE", "EXPIRES"]
        if not write_table(self.stdout, headers, map(_as_row, rows)):
            self.say("No key matches. `manage.py keys create` makes one.")

    def _declare_limit(self) -> None:
        parser = self.subcommand(
            "limit",
            self.limit,
            text="Set what a key may do within a minute, or at once. What is not named stays as it is.",
            examples="""
                manage.py keys limit ci --organization acme --requests-per-minute 600
                manage.py keys limit ci --organization acme --uploads-at-once default
            """,
        )
        parser.add_argument("key", metavar="KEY", help="the key's name, or its first twelve characters")
        add_organization(parser)
        add_rates(parser)
        add_dry_run(parser)

    def limit(self, arguments: Namespace) -> None:
        """Set rates of a key."""
        row, rates = _named(arguments), rates_in(arguments)
        if not rates:
            raise CommandError("Name at least one rate: see `manage.py keys limit --help`.")
        if arguments.dry_run:
            self._show_plan(f"would set of {row} of {row.organization.name}: {in_words(rates)}", arguments)
            return
        set_rates(row, rates, caller=command_caller(row.organization_id))
        if arguments.json:
            self.write_json(_as_json(row))
        else:
            self.stdout.write(f"{row} of {row.organization.name}: {in_words(rates)}")

    def revoke(self, arguments: Namespace) -> None:
        """Revoke a key."""
        row = _named(arguments)
        if arguments.dry_run:
            self._show_plan(f"would revoke {row} of {row.organization.name}", arguments)
            return
        self.confirm(f"Revoke {row} of {row.organization.name}? Its clients are refused at once.", arguments)
        revoke_key(row, caller=command_caller(row.organization_id))
        row.refresh_from_db()
        if arguments.json:
            self.write_json(_as_json(row))
        else:
            self.stdout.write(f"revoked {row} of {row.organization.name}")

    def rotate(self, arguments: Namespace) -> None:
        """Give a key a new secret."""
        row = _named(arguments)
        if not row.is_usable:
            raise CommandError(f"{row} has expired: make a new one with `manage.py keys create`.")
        overlap = readable_seconds(int(arguments.overlap.total_seconds()))
        old = f"works for another {overlap}" if arguments.overlap else "is refused at once"
        if arguments.dry_run:
            plan = f"would give {row} of {row.organization.name} a new secret; the old one {old}"
            self._show_plan(plan, arguments)
            return
        self.confirm(f"Give {row} of {row.organization.name} a new secret? The old one {old}.", arguments)
        caller = command_caller(row.organization_id)
        self._show_new(*rotate_key(row, caller=caller, overlap=arguments.overlap), arguments)

    def end_overlap(self, arguments: Namespace) -> None:
        """Refuse a key's old secret."""
        row = _named(arguments)
        old = working_secret(row)
        if old is None:
            raise CommandError(f"{row} has no old secret that works.")
        if arguments.dry_run:
            self._show_plan(f"would refuse the old secret {old} of {row.organization.name}", arguments)
            return
        self.confirm(f"Refuse the old secret {old}? Last used {age(old.last_used_at)}.", arguments)
        end_overlap(row, caller=command_caller(row.organization_id))
        if arguments.json:
            self.write_json(_as_json(row))
        else:
            self.stdout.write(f"the old secret {old} of {row.organization.name} is refused")


def _named(arguments: Namespace) -> ApiKey:
    organization = organization_named(arguments.organization) if arguments.organization else None
    return key_named(arguments.key, organization)


def _state(row: ApiKey) -> str:
    if row.revoked_at:
        return "revoked"
    return "in use" if row.is_usable else "expired"


def _as_row(row: ApiKey) -> tuple[Any, ...]:
    return (
        row.organization.name,
        row.name,
        f"{row.prefix}…{row.last_four}",
        row.scopes,
        _state(row),
        age(row.last_used_at),
        row.expires_at or "never",
    )


def _as_json(row: ApiKey) -> dict[str, Any]:
    old = working_secret(row)
    return {
        "organization": row.organization.name,
        "name": row.name,
        "prefix": row.prefix,
        "last_four": row.last_four,
        "scopes": row.scopes,
        "state": _state(row),
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
        "old_secret": None
        if old is None
        else {"prefix": old.prefix, "valid_until": old.valid_until, "last_used_at": old.last_used_at},
        **{name: getattr(row, name) for name in RATE_LIMITS},
    }
