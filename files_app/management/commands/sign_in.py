"""`manage.py sign_in list|code|reset-second-factor|link|unlink|end-sessions`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from files_app.management.base import GroupCommand, command_caller
from files_app.management.output import counted, write_table
from files_app.models import AuditAction, StaffIdentity
from files_app.services.index import audit
from files_app.services.tenants.sign_in import factors, once, people
from files_app.services.tenants.sign_in.sessions import end_sessions


class Command(GroupCommand):
    """Who signs in to the admin, and what to do for who cannot."""

    help = (
        "List staff and how each signs in, and help who cannot: a code that signs in once, the reset of a "
        "second factor, the link to a person of the company's provider, the end of open sessions. Users are "
        "made in the admin, or by their first sign-in with OpenID Connect."
    )
    examples = """
        manage.py sign_in list
        manage.py sign_in code admin
        manage.py sign_in link anna 00u1a2b3c4
    """

    def add_subcommands(self) -> None:
        """Declare the subcommands."""
        self.subcommand(
            "list",
            self.list_staff,
            text="List users with their role and their ways in.",
            examples="""
                manage.py sign_in list
                manage.py sign_in list --json
            """,
        )
        self._declare(
            "code",
            self.make_code,
            "Make a code that signs a user in once, within ten minutes, whatever else is asked of people. "
            "It is typed at /login/once/ below the admin.",
        )
        self._declare(
            "reset-second-factor",
            self.reset_second_factor,
            "Take a user's second factor and recovery codes, and end the open sessions. Where the role needs "
            "one, the next sign-in sets up another.",
        )
        parser = self._declare(
            "link",
            self.link,
            "Let a person of the provider that OIDC_ISSUER names be a user who is here already.",
            "manage.py sign_in link anna 00u1a2b3c4",
        )
        parser.add_argument("subject", metavar="SUBJECT", help="the claim `sub`, which the refusal shows")
        self._declare(
            "unlink",
            self.unlink,
            "Undo the link. The user's sessions end; a password, if there is one, stays.",
        )
        self._declare("end-sessions", self.end_sessions, "End all sessions that a user has open.")

    def _declare(self, name: str, run: Any, text: str, example: str = "") -> ArgumentParser:
        parser = self.subcommand(name, run, text=text, examples=example or f"manage.py sign_in {name} anna")
        parser.add_argument("name", metavar="NAME")
        return parser

    def list_staff(self, arguments: Namespace) -> None:
        """Print the users."""
        users = User.objects.select_related("identity", "second_factor").prefetch_related("groups")
        rows = [_as_json(user) for user in users.order_by("username")]
        if arguments.json:
            self.write_json(rows)
            return
        headers = ["NAME", "MAY SIGN IN", "ROLES", "PASSWORD", "SECOND FACTOR", "COMPANY"]
        table = (
            [
                row["name"],
                "yes" if row["may_sign_in"] else "no",
                ", ".join(row["roles"]) or "none",
                "yes" if row["has_password"] else "no",
                "yes" if row["has_second_factor"] else "no",
                row["subject"] or "no",
            ]
            for row in rows
        )
        if not write_table(self.stdout, headers, table):
            self.say("There is nobody. `manage.py bootstrap` makes the user admin.")

    def make_code(self, arguments: Namespace) -> None:
        """Print a code."""
        user = _user_named(arguments.name)
        code = once.make_code(user, caller=command_caller())
        path = f"/{settings.ADMIN_PATH}login/once/"
        if arguments.json:
            self.write_json({"name": user.username, "code": code, "path": path, "seconds": once.CODE_SECONDS})
            return
        self.stdout.write(code)
        self.say(f"Type it at {path} of the gateway within ten minutes. It works once.")

    def reset_second_factor(self, arguments: Namespace) -> None:
        """Take a second factor."""
        user = _user_named(arguments.name)
        if not factors.reset(user, caller=command_caller()):
            raise CommandError(f"{user.username} has no second factor.")
        end_sessions(user)
        self._done(arguments, user, f"{user.username} has no second factor any more.")

    def link(self, arguments: Namespace) -> None:
        """Link a user with a person of the provider."""
        user = _user_named(arguments.name)
        people.link(user, arguments.subject, caller=command_caller())
        self._done(arguments, user, f"{user.username} is {arguments.subject} at {settings.OIDC_ISSUER}.")

    def unlink(self, arguments: Namespace) -> None:
        """Undo a link."""
        user = _user_named(arguments.name)
        if not people.unlink(user, caller=command_caller()):
            raise CommandError(f"{user.username} is linked to nobody.")
        self._done(arguments, user, f"{user.username} is linked to nobody any more.")

    def end_sessions(self, arguments: Namespace) -> None:
        """End a user's sessions."""
        user = _user_named(arguments.name)
        number = end_sessions(user)
        audit.record(
            command_caller(), AuditAction.USER_END_SESSIONS, object_type="user", object_id=user.username
        )
        self._done(arguments, user, f"{counted(number, 'session')} of {user.username} ended.", ended=number)

    def _done(self, arguments: Namespace, user: User, words: str, **facts: object) -> None:
        if arguments.json:
            self.write_json({"name": user.username, **facts})
        else:
            self.stdout.write(words)


def _user_named(name: str) -> User:
    user = User.objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"There is no user '{name}'. See `manage.py sign_in list`.")
    return user


def _as_json(user: User) -> dict[str, Any]:
    roles = [group.name for group in user.groups.all()]
    identity: StaffIdentity | None = getattr(user, "identity", None)
    return {
        "name": user.username,
        "may_sign_in": user.is_active and user.is_staff,
        "roles": ["superuser", *roles] if user.is_superuser else roles,
        "has_password": user.has_usable_password(),
        "has_second_factor": hasattr(user, "second_factor"),
        "issuer": identity.issuer if identity else None,
        "subject": identity.subject if identity else None,
        "last_sign_in": user.last_login.isoformat() if user.last_login else None,
    }
