"""`manage.py run`: set up what is missing, then run web server, worker and beat until Ctrl-C.

`manage.py run web`, `run worker` and `run beat` run one part alone, set up by `manage.py bootstrap`.
"""

import errno
import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import ERROR
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from files_app.services.tenants.bootstrap import FirstStart
from gateway import supervisor
from gateway.checks import check_stored_credentials
from gateway.management.commands.bootstrap import prepare, shown

BANNER = """
The files gateway is ready. Ctrl-C stops it.

  API      {url}/v1
  Admin    {url}/{admin_path}   user admin, password {password}
  API key  {key}

curl {url}/v1/files -H "Authorization: Bearer {key}" -F purpose=user_data -F file=@README.md

from openai import OpenAI    # pip install openai
client = OpenAI(base_url="{url}/v1", api_key="{key}")
file = client.files.create(file=open("README.md", "rb"), purpose="user_data")
print(client.files.content(file.id).text[:60])
"""


class Command(BaseCommand):
    help = (
        "Run the gateway: migrate, create what a first start needs, then start web server, worker and beat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("part", nargs="?", choices=supervisor.PROGRAMS, help="run this part alone")

    def handle(self, *args: Any, part: str | None, **options: Any) -> None:
        if part in (None, "web"):
            check_port_is_free(settings.BIND, settings.PORT)
        if part:
            check_encryption_keys_fit()
            supervisor.become(supervisor.PROGRAMS[part]())
        self.run_all()

    def run_all(self) -> None:
        with data_directory_lock(settings.DATA_DIR):
            clear_metrics(settings.METRICS_DIR)
            first_start = prepare(say=self.stderr.write)
            check_encryption_keys_fit()
            connections.close_all()  # the children open their own
            programs = [program() for program in supervisor.PROGRAMS.values()]
            children = supervisor.Supervisor(
                programs, on_ready=lambda: self.print_banner(first_start), say=self.stdout.write
            )
            failure = children.run()
        if failure:
            raise CommandError(failure)

    def print_banner(self, first_start: FirstStart) -> None:
        key, password = shown(first_start)
        self.stdout.write(
            BANNER.format(
                url=supervisor.base_url(), admin_path=settings.ADMIN_PATH, key=key, password=password
            )
        )
        self.stdout.flush()


@contextmanager
def data_directory_lock(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: a second supervisor on the same data would run every task twice."""
    with (directory / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"a gateway is already running on {directory}: stop it, or choose another DATA_DIR"
            ) from None
        yield


def check_port_is_free(host: str, port: int) -> None:
    """Raise CommandError when the address cannot be listened on; granian would share it with its owner."""
    try:
        with socket.create_server((host, port), family=_family(host)):
            pass
    except UnicodeError:  # the resolver's word for what can be no name
        raise CommandError(f"cannot listen on {host}: set BIND to an address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "something else listens there: stop it, or choose another port with PORT"
        else:
            reason = f"{error.strerror}: set BIND and PORT to an address of this machine that you may use"
        raise CommandError(f"cannot listen on {host} port {port}: {reason}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_encryption_keys_fit() -> None:
    """Raise CommandError when the credentials in the database were encrypted with other keys than ours.

    A database that does not answer is no reason to stay down: the gateway gets ready when it is back.
    """
    for message in check_stored_credentials(None, databases=["default"]):
        if message.level >= ERROR:
            raise CommandError(f"{message.msg} {message.hint}")


def clear_metrics(directory: Path) -> None:
    """Remove the counters of processes that ended with the last run."""
    for file in directory.glob("*.db*"):
        file.unlink()
