"""Real PostgreSQL, PgBouncer, Redis and RabbitMQ of the tests' own, which they may freeze and kill."""

import os
import shutil
import subprocess
from pathlib import Path

from tests import templates
from tests.processes import START_TIMEOUT_SECONDS, Process, accepts_connections, free_port, wait_until
from tests.stack import Stack

#: The database with the gateway's tables in the clusters of a session.
MIGRATED = "migrated"


def find_postgresql() -> str:
    """Return the newest installed server's directory of programs; Debian keeps them off the PATH."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(packaged[-1]) if packaged else shutil.which("initdb")
    return str(Path(found).parent) if found else ""


def find_pgbouncer() -> str:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def find_redis() -> str:
    return shutil.which("redis-server") or shutil.which("valkey-server") or ""


def find_rabbitmq() -> str:
    """Return RabbitMQ's own start script; the one on the PATH of Debian insists on the rabbitmq user."""
    packaged = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(packaged) if packaged.exists() else shutil.which("rabbitmq-server") or ""


class Server:
    """A service on a loopback port with its data in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.process = Process(self.command(), log=directory / "log", environment=self.environment())

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def prepare(self) -> None:
        """Do what has to be done once before the first start."""

    def start(self) -> None:
        self.process.start()
        wait_until(self.is_up, seconds=START_TIMEOUT_SECONDS, what=f"{type(self).__name__} to start")

    def is_up(self) -> bool:
        if self.process.exit_code is not None:
            raise RuntimeError(f"{type(self).__name__} ended:\n{self.process.output()[-2000:]}")
        return accepts_connections(self.port)

    def stop(self) -> None:
        if self.process.is_running:
            self.process.kill()


class NoRootServer(Server):
    """A server that refuses to be root; then it runs as the user postgres."""

    def _as_owner(self, *command: str) -> list[str]:
        return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)

    def _let_owner_in(self) -> None:
        """Open pytest's directories to the user postgres; another run of pytest closes them again."""
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres")
            for parent in self.directory.parents:
                if parent.stat().st_uid == 0 and parent != Path("/"):
                    parent.chmod(parent.stat().st_mode | 0o011)

    def start(self) -> None:
        self._let_owner_in()
        super().start()


class PostgreSQL(NoRootServer):
    """A cluster of its own."""

    def command(self) -> list[str]:
        arguments = ["-D", str(self.directory / "data"), "-p", str(self.port), "-k", ""]
        speed = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "listen_addresses=127.0.0.1"]
        return self._as_owner(f"{find_postgresql()}/postgres", *arguments, *speed)

    def prepare(self) -> None:
        if templates.session:
            template = templates.session.folder("postgresql", migrate_postgresql)
            subprocess.run(["cp", "-a", template / "data", self.directory / "data"], check=True)
        else:
            self.initialize()

    def initialize(self) -> None:
        """Make an empty cluster."""
        self._let_owner_in()
        program = f"{find_postgresql()}/initdb"
        options = [
            "-D",
            str(self.directory / "data"),
            "-U",
            "gateway",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(self._as_owner(program, *options), check=True, capture_output=True, cwd=self.directory)

    def is_up(self) -> bool:
        check = [f"{find_postgresql()}/pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
        return super().is_up() and subprocess.run(check, capture_output=True, check=False).returncode == 0

    def shut_down(self) -> None:
        """Stop in order, so that nothing has to be recovered."""
        program = [f"{find_postgresql()}/pg_ctl", "-D", str(self.directory / "data")]
        command = self._as_owner(*program, "stop", "-m", "fast")
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create an empty database, or a copy of another one, and return its URL."""
        command = ["createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gateway", "-T", template, name]
        subprocess.run([f"{find_postgresql()}/{command[0]}", *command[1:]], check=True, capture_output=True)
        return f"postgres://gateway@127.0.0.1:{self.port}/{name}"

    def create_gateway_database(self, name: str) -> str:
        """Create a database with the gateway's tables; beside pytest an empty one, which a start migrates."""
        return self.create_database(name, template=MIGRATED if templates.session else "template1")


def migrate_postgresql(directory: Path) -> None:
    """Make a cluster in the directory that has a migrated database, and stop it."""
    cluster = PostgreSQL(directory)
    cluster.initialize()
    try:
        cluster.start()
        url = cluster.create_database(MIGRATED)
        Stack(directory / "migrating", database_url=url).manage("migrate")
        cluster.shut_down()
    finally:
        cluster.stop()


class PgBouncer(NoRootServer):
    """A pooler that gives each transaction another session of PostgreSQL's, and refuses what that breaks."""

    def __init__(self, directory: Path, postgresql: PostgreSQL) -> None:
        self._postgresql_port = postgresql.port
        super().__init__(directory)

    def command(self) -> list[str]:
        return self._as_owner(find_pgbouncer(), str(self.directory / "pgbouncer.ini"))

    def prepare(self) -> None:
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self.directory / "users",
            "pool_mode": "transaction",
            "min_pool_size": 4,
            "default_pool_size": 4,
            "server_round_robin": 1,  # or one client alone would meet the same session again and again
        }
        lines = [f"* = host=127.0.0.1 port={self._postgresql_port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        texts = {"users": '"gateway" ""', "pgbouncer.ini": "\n".join(["[databases]", *lines])}
        for name, text in texts.items():
            (self.directory / name).write_text(text + "\n")
            (self.directory / name).chmod(0o644)  # the gateway's settings have closed the umask

    def in_front_of(self, url: str) -> str:
        """Return the URL of the same database by way of the pooler."""
        return url.replace(f":{self._postgresql_port}/", f":{self.port}/")


class Redis(Server):
    def command(self) -> list[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [find_redis(), *options, "--save", "", "--appendonly", "no"]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class RabbitMQ(Server):
    def command(self) -> list[str]:
        return [find_rabbitmq()]

    def environment(self) -> dict[str, str]:
        own = {
            "HOME": self.directory,
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            # Not the machine's own configuration, which names a port for the machine's own server.
            "RABBITMQ_CONFIG_FILE": self.directory / "none",
            "RABBITMQ_CONF_ENV_FILE": self.directory / "none-env.conf",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_MNESIA_BASE": self.directory / "mnesia",
            "RABBITMQ_LOG_BASE": self.directory / "logs",
            "RABBITMQ_PID_FILE": self.directory / "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "plugins",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"
