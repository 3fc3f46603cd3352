"""The real gateway for tests over HTTP: granian and a worker, each with its own life.

    with Stack(tmp_path) as stack:                       # SQLite and the filesystem broker
        client = openai.OpenAI(base_url=stack.api_url, api_key=stack.api_key)
        stack.kill("worker")
        stack.start("worker")

A part that is started again reads `stack.environment` anew.
"""

import http.client
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from tests import templates
from tests.processes import START_TIMEOUT_SECONDS, Process, free_port, wait_until

PROJECT = Path(__file__).resolve().parent.parent
Part = Literal["web", "worker"]
PARTS: tuple[Part, ...] = get_args(Part)
SQLITE = "gateway.sqlite3"


class Stack:
    """A gateway with its own data, port and processes.

    directory: where DATA_DIR and the logs of the parts are kept
    environment: settings that differ from the defaults, as strings
    from_nothing: start as an operator does, and not as quickly as a session of tests may: with the migrations
        and the system checks
    """

    def __init__(
        self,
        directory: Path,
        *,
        database_url: str = "",
        broker_url: str = "",
        environment: Mapping[str, str] | None = None,
        from_nothing: bool = False,
    ) -> None:
        self.directory = directory
        self._hurries = templates.session is not None and not from_nothing
        self.data_dir = directory / "data"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.api_key = f"test-key-{secrets.token_hex(16)}"
        self.admin_password = secrets.token_urlsafe(16)
        self.environment: dict[str, str] = {
            **inherited_environment(),
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": broker_url,
            "BOOTSTRAP_API_KEY": self.api_key,
            "BOOTSTRAP_ADMIN_PASSWORD": self.admin_password,
            "ALLOW_PRIVATE_UPSTREAMS": "true",
            "WEB_WORKERS": "1",
            "LOG_FORMAT": "json",
            "SHUTDOWN_DRAIN_SECONDS": "0",  # no proxy has to hear of a stop
            "SHUTDOWN_GRACE_SECONDS": "10",
            "WRONG_KEYS_PER_MINUTE": "0",  # the suite tries thousands
            **(environment or {}),
        }
        self.processes: dict[Part, Process] = {part: self._process(part) for part in PARTS}

    def _process(self, part: Part) -> Process:
        command = [sys.executable, str(PROJECT / "manage.py"), "run", part, *self._checks()]
        return Process(command, log=self.directory / f"{part}.log", environment=self.environment)

    def _checks(self) -> list[str]:
        """Spare a start the system checks, which import all that there is before a part is begun."""
        return ["--skip-checks"] if self._hurries else []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """The base URL for OpenAI's SDKs."""
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        try:
            self.prepare()
            for part in PARTS:
                self.start(part)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def prepare(self) -> None:
        """Migrate the database and create the first-start data."""
        url = self.environment["DATABASE_URL"] or f"sqlite:///{self.data_dir / SQLITE}"
        if self._hurries and url.startswith("sqlite:///"):  # what PostgreSQL begins with, the test has chosen
            copy_tables(Path(url.removeprefix("sqlite:///")))
        self.manage("bootstrap", *self._checks())

    def manage(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command on the data of this stack."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done

    def send_task(self, name: str) -> None:
        """Ask the worker for a task now instead of when it would look again: `deliver_deletes`."""
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "gateway",
            "--quiet",
            "call",
            f"files_app.tasks.{name}",
        ]
        subprocess.run(
            command, cwd=PROJECT, env=self.environment, capture_output=True, timeout=60, check=True
        )

    def start(self, part: Part) -> None:
        self.processes[part].start()

    def kill(self, part: Part) -> None:
        """SIGKILL the part with all its children."""
        self.processes[part].kill()

    def terminate(self, part: Part) -> int:
        """Stop the part with SIGTERM and return its exit code."""
        return self.processes[part].terminate()

    def freeze(self, part: Part) -> None:
        self.processes[part].freeze()

    def thaw(self, part: Part) -> None:
        self.processes[part].thaw()

    def restart_web(self) -> None:
        """Start the web server again after `kill` or `terminate`, and wait until it serves."""
        self.start("web")
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_until(self.is_ready, seconds=START_TIMEOUT_SECONDS, what="the gateway to be ready")

    def is_ready(self) -> bool:
        web = self.processes["web"]
        if web.exit_code is not None:
            raise RuntimeError(f"the web server ended:\n{web.output()[-4000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def log(self, part: Part) -> str:
        """Return all output of the part so far."""
        return self.processes[part].output()

    def stop(self) -> None:
        """Kill every part; a test that is about stopping calls `terminate`."""
        for process in self.processes.values():
            process.kill()


def copy_tables(file: Path) -> None:
    """Make the file a migrated database, which the session shares."""
    if templates.session is None:
        raise RuntimeError("beside pytest there are no templates")
    shutil.copyfile(templates.session.folder("sqlite", migrate_sqlite) / SQLITE, file)


def migrate_sqlite(directory: Path) -> None:
    """Make a migrated database in the directory; it is one file when nobody has it open."""
    Stack(directory / "migrating", database_url=f"sqlite:///{directory / SQLITE}").manage("migrate")


def inherited_environment() -> dict[str, str]:
    """Return what a child needs to find its programs, and none of the suite's own settings."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONUNBUFFERED": "1"}
