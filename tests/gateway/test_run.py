"""`manage.py run` as a person meets it, with the real server and worker."""

import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import Process, free_port, wait_until
from tests.stack import PROJECT, inherited_environment

RUN = [sys.executable, str(PROJECT / "manage.py"), "run"]


def environment_in(directory: Path) -> dict[str, str]:
    """Return the settings of a gateway with its data in the directory."""
    return {
        **inherited_environment(),
        "DATA_DIR": str(directory / "data"),
        "PORT": str(free_port()),
        "WEB_WORKERS": "1",
        "SHUTDOWN_GRACE_SECONDS": "10",
    }


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_in(tmp_path)


@pytest.fixture
def gateway(tmp_path: Path, environment: dict[str, str]) -> Iterator[Process]:
    """A gateway to start and to stop; the children of a killed one end with it."""
    process = Process(RUN, log=tmp_path / "run.log", environment=environment)
    yield process
    process.kill()


@dataclass
class Running:
    """A gateway that serves, for tests that leave it alone."""

    environment: dict[str, str]
    banner: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("run")
    environment = environment_in(directory)
    careless = ["sh", "-c", 'umask 000 && exec "$@"', "sh", *RUN]
    process = Process(careless, log=directory / "run.log", environment=environment)
    try:
        yield Running(environment, start(process))
    finally:
        process.kill()


def start(gateway: Process) -> str:
    """Start the gateway and return what it printed when it was ready."""
    seen = len(gateway.output())
    gateway.start()

    def is_ready() -> bool:
        assert gateway.is_running, gateway.output()
        return "from openai import" in gateway.output()[seen:]

    wait_until(is_ready, seconds=60, what="the banner")
    return gateway.output()[seen:]


def fail(environment: dict[str, str]) -> str:
    """Run, expect exit code 1 without a traceback, and return the one line it says."""
    done = subprocess.run(RUN, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_what_the_banner_shows_works_when_pasted(running: Running, tmp_path: Path) -> None:
    banner = running.banner
    (tmp_path / "README.md").write_text("# Files for every provider\n")

    curl = next(line for line in banner.splitlines() if line.startswith("curl "))
    uploaded = subprocess.run(
        ["sh", "-c", curl], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(uploaded.stdout)["object"] == "file"

    python = banner[banner.index("from openai import") :]
    program = "\n".join(python.splitlines()[:4])
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert printed.stdout == "# Files for every provider\n\n"

    (admin,) = re.findall(r"http://\S+/admin/", banner)
    with urllib.request.urlopen(f"{admin}login/", timeout=10) as page:
        stylesheets = re.findall(r'href="(/static/[^"]+\.css)"', page.read().decode())
    assert stylesheets
    for path in stylesheets:
        with urllib.request.urlopen(admin.removesuffix("/admin/") + path, timeout=10) as stylesheet:
            assert stylesheet.status == 200


def test_nobody_else_can_read_what_any_process_writes(running: Running) -> None:
    modes = {}
    for path in Path(running.environment["DATA_DIR"]).rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a message that was taken meanwhile
            modes[path.name] = path.stat().st_mode
    assert {"gateway.sqlite3", "run.lock", "metrics", "broker"} <= modes.keys()
    assert not [name for name, mode in modes.items() if mode & 0o077]


def test_ctrl_c_stops_everything_and_a_second_start_keeps_keys(
    gateway: Process, environment: dict[str, str]
) -> None:
    def credentials(banner: str) -> list[str]:
        return [line for line in banner.splitlines() if line.startswith(("  Admin", "  API key"))]

    first = credentials(start(gateway))
    gateway.send(signal.SIGINT)
    wait_until(lambda: not gateway.is_running, seconds=30, what="the gateway to stop")
    assert gateway.exit_code == 0
    assert gateway.output().rstrip().endswith("Stopped.")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(environment["PORT"])), timeout=1)

    assert credentials(start(gateway)) == first


def test_a_unit_that_still_starts_a_beat_does_no_harm(tmp_path: Path, environment: dict[str, str]) -> None:
    beat = Process([*RUN, "beat"], log=tmp_path / "beat.log", environment=environment)
    beat.start()
    try:
        wait_until(lambda: "Remove this part" in beat.output(), seconds=60, what="what there is to do")
        assert beat.terminate() == 0
    finally:
        beat.kill()


def test_a_taken_port_is_named(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        line = fail(environment)
    assert line.startswith(
        f"CommandError: cannot listen on 127.0.0.1 port {environment['PORT']}: something else"
    )


def test_a_directory_that_cannot_be_written_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment["DATA_DIR"] = str(tmp_path / "file" / "data")
    assert fail(environment).startswith("error: DATA_DIR: cannot write to")


def test_a_short_key_is_refused(environment: dict[str, str]) -> None:
    environment["BOOTSTRAP_API_KEY"] = "too-short"
    assert "BOOTSTRAP_API_KEY: " in fail(environment)


def test_a_second_gateway_on_the_same_data_is_refused(running: Running) -> None:
    line = fail({**running.environment, "PORT": str(free_port())})
    assert line.startswith("CommandError: a gateway is already running on")


def test_each_running_part_says_that_it_is_there(running: Running) -> None:
    database = Path(running.environment["DATA_DIR"]) / "gateway.sqlite3"

    def kinds() -> set[str]:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return {
                name.partition("@")[0]
                for (name,) in connection.execute("SELECT name FROM files_app_heartbeat")
            }

    wait_until(lambda: kinds() == {"web", "worker"}, seconds=60, what="web and worker to beat")


def test_ctrl_c_while_it_still_sets_itself_up_is_no_traceback(
    gateway: Process, environment: dict[str, str]
) -> None:
    gateway.start()
    wait_until((Path(environment["DATA_DIR"]) / "bootstrap.lock").exists, seconds=60, what="the set-up")
    gateway.send(signal.SIGINT)
    wait_until(lambda: not gateway.is_running, seconds=30, what="the gateway to stop")
    assert gateway.exit_code == -signal.SIGINT
    assert gateway.output() == ""
