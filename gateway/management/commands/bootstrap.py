"""`manage.py bootstrap`: migrate, and create what a first start needs, without starting anything."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from files_app.exceptions import InvalidRequestError
from files_app.services.tenants.bootstrap import FirstStart, bootstrap


class Command(BaseCommand):
    help = "Migrate the database and create the first organization, account, API key and admin user."

    def handle(self, *args: Any, **options: Any) -> None:
        first_start = prepare(say=self.stderr.write)
        key, password = shown(first_start)
        self.stdout.write(f"API key  {key}\nAdmin    user admin, password {password}")


def prepare(*, say: Callable[[str], object]) -> FirstStart:
    """Migrate and bootstrap, alone on this DATA_DIR. Raises CommandError with one line."""
    with _alone(Path(settings.DATA_DIR), say):
        call_command("migrate", verbosity=0, interactive=False)
        try:
            return bootstrap()
        except InvalidRequestError as error:
            raise CommandError(str(error)) from error


@contextmanager
def _alone(directory: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the directory's lock: two that migrate one SQLite file at a time both fail half-way."""
    with (directory / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another bootstrap is at work on {directory}: waiting for its end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shown(first_start: FirstStart) -> tuple[str, str]:
    """Return the key and the password as a terminal may show them.

    Bound to other addresses than loopback, output is often collected: then they stay in the file.
    """
    if not settings.IS_LOOPBACK:
        place = f"in {settings.DATA_DIR / 'first-start.json'}"
        return f"<{place}>", place
    return first_start.api_key or "<your API key>", first_start.admin_password or "as you set it"
