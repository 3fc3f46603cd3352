"""The supervisor, with small programs in place of the real ones."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from gateway import supervisor
from gateway.supervisor import Program, Supervisor
from tests.processes import wait_until

SLEEP = Program("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
STUBBORN_CODE = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(
    said: list[str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> Callable[..., Supervisor]:
    settings.SHUTDOWN_GRACE_SECONDS = 1
    monkeypatch.setattr(supervisor, "MARGIN_SECONDS", 0)
    monkeypatch.setattr(supervisor, "is_ready", lambda: True)

    def build(*programs: Program, on_ready: Callable[[], None] = lambda: None) -> Supervisor:
        return Supervisor(programs, on_ready=on_ready, say=said.append)

    return build


def signal_this_process(*numbers: signal.Signals) -> Callable[[], None]:
    return lambda: [os.kill(os.getpid(), number) for number in numbers] and None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child(
    supervise: Callable[..., Supervisor], said: list[str], number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    children = supervise(SLEEP, SLEEP, on_ready=signal_this_process(number))
    assert children.run() == ""
    assert [child.returncode for _, child in children._children] == [-signal.SIGTERM] * 2
    assert said[-1] == "Stopped."
    assert signal.getsignal(number) is handler


def test_a_child_that_ends_stops_the_others_and_is_named(supervise: Callable[..., Supervisor]) -> None:
    broken = Program("worker", [sys.executable, "-c", "raise SystemExit(3)"])
    children = supervise(SLEEP, broken)
    assert "the worker ended with exit code 3" in children.run()
    assert children._children[0][1].returncode == -signal.SIGTERM


def test_a_child_that_ignores_the_signal_is_killed_after_the_grace_period(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    stubborn = Program("stubborn", [sys.executable, "-c", STUBBORN_CODE, str(tmp_path / "started")])

    def stop() -> None:
        wait_until((tmp_path / "started").exists, seconds=10, what="the child")
        os.kill(os.getpid(), signal.SIGTERM)

    children = supervise(stubborn, on_ready=stop)
    assert children.run() == ""
    assert children._children[0][1].returncode == -signal.SIGKILL


def test_a_second_signal_does_not_wait(
    supervise: Callable[..., Supervisor], settings: Settings, tmp_path: Path
) -> None:
    settings.SHUTDOWN_GRACE_SECONDS = 60
    stubborn = Program("stubborn", [sys.executable, "-c", STUBBORN_CODE, str(tmp_path / "started")])

    def stop() -> None:
        wait_until((tmp_path / "started").exists, seconds=10, what="the child")
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    started = time.monotonic()
    supervise(stubborn, on_ready=stop).run()
    assert time.monotonic() - started < 20


def test_grandchildren_do_not_outlive_a_killed_child(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    file = tmp_path / "pid"

    def stop() -> None:
        wait_until(lambda: file.exists() and bool(file.read_text()), seconds=10, what="the grandchild")
        os.kill(os.getpid(), signal.SIGTERM)

    supervise(Program("parent", [sys.executable, "-c", code, str(file)]), on_ready=stop).run()
    # The orphan is reaped by init, if there is one that does so.
    pid = int(file.read_text())
    wait_until(
        lambda: not is_alive(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z",
        seconds=5,
        what="the grandchild to end",
    )


def test_it_is_ready_once(supervise: Callable[..., Supervisor]) -> None:
    calls: list[float] = []

    def ready() -> None:
        calls.append(time.monotonic())
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM)).start()

    supervise(SLEEP, on_ready=ready).run()
    assert len(calls) == 1
