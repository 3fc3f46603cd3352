"""`manage.py run`: set up what is missing, then run web server and worker until Ctrl-C.

`manage.py run web` and `run worker` run one part alone, set up by `manage.py bootstrap`. `run beat` was one
in earlier versions: it says so and waits, so that a unit that still starts it does no harm.
"""

import errno
import fcntl
import os
import signal
import socket
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import ERROR
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from files_app.services.tenants.bootstrap import FirstStart
from gateway import programs, supervisor
from gateway.checks import check_stored_credentials
from gateway.management.commands.bootstrap import prepare, shown

BEAT = "beat"
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
    help = "Run the gateway: migrate, create what a first start needs, then start web server and worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("part", nargs="?", choices=[*programs.PROGRAMS, BEAT], help="run this part alone")

    def handle(self, *args: Any, part: str | None, **options: Any) -> None:
        if part == BEAT:
            self.wait_as_beat()
            return
        if part in (None, "web"):
            check_port_is_free(settings.BIND, settings.PORT)
        if part:
            check_encryption_keys_fit()
            programs.become(programs.PROGRAMS[part]())
        self.run_all()

    def wait_as_beat(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.STOP_SIGNALS)  # one that comes at once waits
        self.stdout.write("Beat is a thread of every worker now: nothing has to run here. Remove this part.")
        self.stdout.flush()
        signal.sigwait(supervisor.STOP_SIGNALS)

    def run_all(self) -> None:
        lock_data_directory(settings.DATA_DIR)
        clear_metrics(settings.METRICS_DIR)
        first_start = prepare(say=self.stderr.write)
        check_encryption_keys_fit()
        connections.close_all()
        programs.become_supervisor(banner(first_start))


def banner(first_start: FirstStart) -> str:
    key, password = shown(first_start)
    return BANNER.format(url=programs.base_url(), admin_path=settings.ADMIN_PATH, key=key, password=password)


def lock_data_directory(directory: Path) -> None:
    """Take the directory's lock, until this process ends: two supervisors would run every task twice."""
    lock = os.open(directory / "run.lock", os.O_WRONLY | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)  # the supervisor takes this process over; it hands nothing on
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"a gateway is already running on {directory}: stop it, or choose another DATA_DIR"
        ) from None


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
