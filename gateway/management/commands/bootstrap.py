"""`manage.py bootstrap`: migrate, and create what a first start needs, without starting anything."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from files_app.exceptions import InvalidRequestError
from files_app.services.tenants.bootstrap import FirstStart, bootstrap


class Command(BaseCommand):
    help = "Migrate the database and create the first organization, account, API key and admin user."

    def handle(self, *args: Any, **options: Any) -> None:
        first_start = prepare()
        key, password = shown(first_start)
        self.stdout.write(f"API key  {key}\nAdmin    user admin, password {password}")


def prepare() -> FirstStart:
    """Migrate and bootstrap. Raises CommandError with one line."""
    call_command("migrate", verbosity=0, interactive=False)
    try:
        return bootstrap()
    except InvalidRequestError as error:
        raise CommandError(str(error)) from error


def shown(first_start: FirstStart) -> tuple[str, str]:
    """Return the key and the password as a terminal may show them.

    Bound to other addresses than loopback, output is often collected: then they stay in the file.
    """
    if not settings.IS_LOOPBACK:
        place = f"in {settings.DATA_DIR / 'first-start.json'}"
        return f"<{place}>", place
    return first_start.api_key or "<your API key>", first_start.admin_password or "as you set it"
