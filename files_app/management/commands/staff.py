"""`manage.py staff list|create|change|password|delete`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from files_app.management.arguments import add_yes
from files_app.management.base import USAGE_ERROR, GroupCommand, command_caller
from files_app.management.output import printable, write_table
from files_app.management.references import organization_named
from files_app.services.tenants.grants import grants_of
from files_app.services.tenants.staff_members import (
    Changes,
    change_member,
    create_member,
    delete_member,
    member_named,
    new_password,
)
from files_app.words import age


class Command(GroupCommand):
    """Who signs in to the admin."""

    help = "List, make, change and remove staff: who signs in to the admin, and what they may do and see."
    examples = """
        manage.py staff create ada --role Operator --organization acme
        manage.py staff change ada --role Read-only
        manage.py staff SUBCOMMAND --help
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self.subcommand(
            "list",
            self.list_staff,
            text="List staff with role, organizations and last sign-in.",
            examples="manage.py staff list --json",
        )
        self._declare_create()
        self._declare_change()
        self._declare_password()
        self._declare_delete()

    def list_staff(self, arguments: Namespace) -> None:
        """Print the users."""
        rows = [_as_json(user) for user in User.objects.order_by("username")]
        if arguments.json:
            self.write_json(rows)
            return
        headers = ["NAME", "E-MAIL", "ROLE", "ORGANIZATIONS", "SIGNS IN", "LAST SIGN-IN"]
        write_table(self.stdout, headers, (_as_row(row) for row in rows))

    # -- create and change -------------------------------------------------------------------------

    def _declare_create(self) -> None:
        parser = self.subcommand(
            "create",
            self.create,
            text="Make a user and print the password. Nothing can show it again.",
            examples="""
                manage.py staff create ada --role Operator --organization acme
                manage.py staff create ada --role Read-only --all-organizations --email ada@example.com
                manage.py staff create root --role superuser
            """,
        )
        parser.add_argument("name", metavar="NAME")
        _add_changes(parser, is_required=True)

    def create(self, arguments: Namespace) -> None:
        """Make a user and show the password."""
        user, password = create_member(arguments.name, _changes(arguments), caller=command_caller())
        if arguments.json:
            self.write_json(_as_json(user) | {"password": password})
            return
        self.say(f"Password of {user.get_username()}, shown only now:")
        self.stdout.write(password)

    def _declare_change(self) -> None:
        parser = self.subcommand(
            "change",
            self.change,
            text="Give somebody another role or other organizations, or let them in no more. What is not "
            "named stays as it is.",
            examples="""
                manage.py staff change ada --role Read-only
                manage.py staff change ada --organization acme --organization globex
                manage.py staff change ada --no-sign-in
            """,
        )
        parser.add_argument("name", metavar="NAME")
        _add_changes(parser)
        sign_in = parser.add_mutually_exclusive_group()
        sign_in.add_argument(
            "--sign-in", action="store_true", default=None, dest="can_sign_in", help="let in"
        )
        sign_in.add_argument("--no-sign-in", action="store_false", dest="can_sign_in", help="let in no more")

    def change(self, arguments: Namespace) -> None:
        """Change a user and report what was granted."""
        wanted = _changes(arguments)
        if wanted == Changes():
            raise CommandError(
                "Name what to change: see `manage.py staff change --help`.", returncode=USAGE_ERROR
            )
        user = member_named(arguments.name)
        found = change_member(user, wanted, caller=command_caller())
        if arguments.json:
            self.write_json(_as_json(user) | {"changes": found})
            return
        for what, names in found.items():
            self.stdout.write(printable(f"{what.replace('_', ' ')}: {', '.join(names)}"))
        if not found:
            self.say(f"{user.get_username()} holds the same roles and organizations as before.")

    # -- password and delete -----------------------------------------------------------------------

    def _declare_password(self) -> None:
        parser = self.subcommand(
            "password",
            self.password,
            text="Replace somebody's password by a generated one and print it. Their sessions end.",
            examples="manage.py staff password ada",
        )
        parser.add_argument("name", metavar="NAME")
        add_yes(parser)

    def password(self, arguments: Namespace) -> None:
        """Set and show a password."""
        user = member_named(arguments.name)
        self.confirm(f"Replace the password of {user.get_username()}?", arguments)
        password = new_password(user, caller=command_caller())
        if arguments.json:
            self.write_json({"name": user.get_username(), "password": password})
            return
        self.say(f"Password of {user.get_username()}, shown only now:")
        self.stdout.write(password)

    def _declare_delete(self) -> None:
        parser = self.subcommand(
            "delete",
            self.delete,
            text="Remove somebody. What they did stays in the audit trail.",
            examples="manage.py staff delete ada --yes",
        )
        parser.add_argument("name", metavar="NAME")
        add_yes(parser)

    def delete(self, arguments: Namespace) -> None:
        """Remove a user."""
        user = member_named(arguments.name)
        self.confirm(f"Remove {user.get_username()}?", arguments)
        delete_member(user, caller=command_caller())
        if arguments.json:
            self.write_json({"name": arguments.name, "deleted": True})
        else:
            self.stdout.write(printable(f"removed {arguments.name}"))


def _add_changes(parser: ArgumentParser, *, is_required: bool = False) -> None:
    parser.add_argument(
        "--role", required=is_required, help="Read-only, Operator, Owner, superuser, or your own"
    )
    sight = parser.add_mutually_exclusive_group()
    sight.add_argument(
        "--organization",
        action="append",
        dest="organizations",
        metavar="NAME",
        help="in sight, once or more",
    )
    sight.add_argument("--all-organizations", action="store_true", help="every one is in sight")
    parser.add_argument("--email", metavar="ADDRESS")


def _changes(arguments: Namespace) -> Changes:
    names = arguments.organizations
    return Changes(
        role=arguments.role,
        organizations=None if names is None else [organization_named(name) for name in names],
        sees_all=arguments.all_organizations,
        email=arguments.email,
        can_sign_in=getattr(arguments, "can_sign_in", None),
    )


def _as_json(user: User) -> dict[str, Any]:
    held = grants_of(user)
    return {
        "name": user.get_username(),
        "email": user.email,
        "roles": sorted(held.roles),
        "organizations": sorted(held.organizations),
        "can_sign_in": user.is_active and user.is_staff,
        "last_sign_in": user.last_login,
    }


def _as_row(row: dict[str, Any]) -> tuple[Any, ...]:
    columns = ("name", "email", "roles", "organizations", "can_sign_in")
    return (*(row[name] for name in columns), age(row["last_sign_in"]))
