"""The supervisor, with small programs in place of the real ones."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import beats, supervisor
from gateway.supervisor import Plan, Program, Supervisor
from tests.processes import wait_until

#: Beats once, says who it is, then does what the case is about.
PROLOGUE = """
import os, pathlib, signal, sys, time
def came_up():
    os.write(int(os.environ["GATEWAY_BEAT_FD"]), b"%d\\n" % os.getpid())
    with open(sys.argv[1], "a") as pids:
        pids.write(f"{os.getpid()}\\n")
"""
BEATS = (
    "came_up()\nwhile True:\n    time.sleep(0.1)\n    os.write(int(os.environ['GATEWAY_BEAT_FD']), b'1\\n')"
)
STUBBORN = (
    "for number in (signal.SIGTERM, signal.SIGINT):\n    signal.signal(number, signal.SIG_IGN)\n" + BEATS
)
CRASHES = "came_up()\ntime.sleep(0.5)\nsys.exit(3)"
STOPS_ONCE = (
    "if not pathlib.Path(sys.argv[1]).exists():\n    came_up()\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
    + BEATS
)


class Case:
    """A plan of small programs, and what is known of their processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.programs: list[Program] = []
        self.said: list[str] = []
        self.grace_seconds = 1.0

    def add(self, name: str, code: str) -> None:
        command = [sys.executable, "-S", "-c", PROLOGUE + code, str(self._directory / name)]
        self.programs.append(Program(name, f"{name} part", command, "nothing is done"))

    def pids(self, name: str) -> list[int]:
        """Return the processes that came up, oldest first."""
        file = self._directory / name
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def run(self, until: Callable[[], bool], *signals: tuple[float, signal.Signals]) -> str:
        """Supervise until the condition holds; then send the signals, each after its pause."""
        plan = Plan(
            self.programs,
            grace_seconds=self.grace_seconds,
            patience_seconds=self.grace_seconds,
            address=("127.0.0.1", 9),
            banner="Ready.",
        )
        stopper = threading.Thread(target=self._stop, args=(until, signals or ((0.0, signal.SIGTERM),)))
        stopper.start()
        try:
            return Supervisor(Plan.from_json(plan.to_json()), say=self.said.append).run()
        finally:
            stopper.join()

    def _stop(self, until: Callable[[], bool], signals: tuple[tuple[float, signal.Signals], ...]) -> None:
        try:
            wait_until(
                lambda: (until() and "Ready." in self.said) or "Stopped." in self.said,
                seconds=30,
                what="the case",
            )
        finally:
            for pause, number in signals:
                time.sleep(pause)
                os.kill(os.getpid(), number)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.25)
    monkeypatch.setattr(supervisor, "is_ready", lambda address: True)
    monkeypatch.setenv("LOG_FORMAT", "json")
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}  # one that comes late
    yield Case(tmp_path)
    for number, handler in before.items():
        signal.signal(number, handler)


def is_running(pid: int) -> bool:
    """Whether the process runs; an orphan that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def notices(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_part(case: Case, number: signal.Signals) -> None:
    handler = signal.getsignal(number)
    case.add("one", BEATS)
    case.add("two", BEATS)
    assert case.run(lambda: bool(case.pids("one") and case.pids("two")), (0.0, number)) == ""
    assert not [pid for name in ("one", "two") for pid in case.pids(name) if is_running(pid)]
    assert case.said[0] == "Ready."
    assert case.said[-1] == "Stopped."
    assert case.said.count("Ready.") == 1
    assert signal.getsignal(number) is handler


def test_a_part_that_never_came_up_ends_the_start(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "is_ready", lambda address: False)
    case.add("well", BEATS)
    case.add("broken", "sys.exit(3)")
    assert "the broken part ended with exit code 3" in case.run(lambda: False)
    assert not any(map(is_running, case.pids("well")))


def test_a_part_that_ends_is_started_again_and_no_other(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    case.add("well", BEATS)
    case.add("crashing", CRASHES)
    assert case.run(lambda: len(case.pids("crashing")) == 4) == ""
    assert len(case.pids("well")) == 1
    told = notices(capfd)
    ends = [line for line in told if line["event"] == "part_ended"][:3]
    assert [(line["part"], line["exit_code"]) for line in ends] == [("crashing", 3)] * 3
    assert [line["restart_seconds"] for line in ends] == [0.25, 0.5, 1.0]
    assert "The crashing part ended with exit code 3" in ends[0]["detail"]
    assert "nothing is done" in ends[0]["detail"]
    runs = [line["detail"] for line in told if line["event"] == "part_runs" and line["part"] == "crashing"]
    assert runs[:2] == ["The crashing part runs.", "The crashing part runs again."]


def test_a_part_that_stands_is_started_again(
    case: Case, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "SILENT_SECONDS", 2.0)
    case.add("well", BEATS)
    case.add("standing", STOPS_ONCE)
    assert case.run(lambda: len(case.pids("standing")) == 2) == ""
    assert len(case.pids("well")) == 1
    (stood,) = [line for line in notices(capfd) if line["event"] == "part_stands"]
    assert stood["part"] == "standing"


def test_a_part_that_never_beats_is_started_again(
    case: Case, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "START_SECONDS", 1.0)
    told: list[dict[str, Any]] = []

    def has_stood() -> bool:
        told.extend(notices(capfd))
        return any(line["event"] == "part_stands" for line in told)

    case.add("silent", "time.sleep(60)")
    assert case.run(has_stood) == ""


def test_a_part_that_cannot_be_started_just_now_is_started_later(
    case: Case, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen
    tries: list[list[str]] = []

    def scarce(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        tries.append(command)
        if len(tries) == 2:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real(command, **options)

    monkeypatch.setattr(subprocess, "Popen", scarce)
    case.add("well", BEATS)
    case.add("late", BEATS)
    assert case.run(lambda: bool(case.pids("late"))) == ""
    assert "cannot be started (Resource temporarily unavailable)" in capfd.readouterr().out
    assert len(case.pids("well")) == 1


def test_the_banner_names_a_part_that_is_down(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 30.0)
    case.add("down", f"time.sleep(0.5)\n{CRASHES}")
    case.add("well", BEATS)
    monkeypatch.setattr(
        supervisor,
        "is_ready",
        lambda address: bool(case.pids("down")) and not is_running(case.pids("down")[0]),
    )
    assert case.run(lambda: "Ready." in case.said) == ""
    assert case.said[1] == "Not running: the down part. Until it is back nothing is done."


def test_the_banner_says_nothing_of_a_part_that_is_about_to_start(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "is_ready", lambda address: True)
    case.add("first", f"time.sleep(1)\n{BEATS}")
    case.add("second", BEATS)
    assert case.run(lambda: bool(case.pids("second"))) == ""
    assert "Ready." in case.said
    assert not [line for line in case.said if line.startswith("Not running")]


def test_a_part_that_ignores_the_signal_is_killed_after_the_grace_period(case: Case) -> None:
    case.add("stubborn", STUBBORN)
    assert case.run(lambda: bool(case.pids("stubborn"))) == ""
    assert not is_running(case.pids("stubborn")[0])


@pytest.mark.parametrize(
    ("number", "pause", "waits"),
    [(signal.SIGTERM, 1.5, True), (signal.SIGINT, 0.2, True), (signal.SIGINT, 1.5, False)],
    ids=["the group's SIGTERM", "an echo of Ctrl-C", "Ctrl-C again"],
)
def test_only_a_second_ctrl_c_stops_at_once(
    case: Case, number: signal.Signals, pause: float, waits: bool
) -> None:
    case.grace_seconds = 5.0
    case.add("stubborn", STUBBORN)
    began: list[float] = []

    def came_up() -> bool:
        began[:] = [time.monotonic()]
        return bool(case.pids("stubborn"))

    case.run(came_up, (0.0, number), (pause, number))
    assert (time.monotonic() - began[0] >= case.grace_seconds) is waits


def test_what_a_dead_part_leaves_behind_gets_a_signal_and_the_grace_period(
    case: Case, tmp_path: Path
) -> None:
    """As the workers of a web server whose main process was killed finish their transfers."""
    case.grace_seconds = 20.0
    work = (
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGTERM, lambda *ignored: time.sleep(1))\n"
        "    pathlib.Path(sys.argv[1] + '-works').touch()\n"
        "    signal.pause()\n"
        "    pathlib.Path(sys.argv[1] + '-done').touch()\n"
        "    os._exit(0)\n"
        "while not os.path.exists(sys.argv[1] + '-works'):\n"
        "    time.sleep(0.05)\n"
        "came_up()\n"
        "time.sleep(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    case.add("killed", work)
    assert case.run(lambda: (tmp_path / "killed-done").exists()) == ""


def test_grandchildren_do_not_outlive_a_stopped_part(case: Case, tmp_path: Path) -> None:
    forks = "child = os.fork()\nif not child:\n    signal.pause()\n"
    tells = "pathlib.Path(sys.argv[1] + '-child').write_text(str(child))\n"
    case.add("parent", f"{forks}{tells}{BEATS}")
    case.run(lambda: bool(case.pids("parent")))
    pid = int((tmp_path / "parent-child").read_text())
    wait_until(lambda: not is_running(pid), seconds=5, what="the grandchild to end")


def test_a_part_that_is_still_coming_up_gets_no_ctrl_c_to_trip_over(
    case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case.add("well", "signal.signal(signal.SIGINT, lambda *received: sys.exit(0))\n" + BEATS)
    case.add("importing", "pathlib.Path(sys.argv[1] + '.begun').touch()\nwhile True:\n    time.sleep(0.1)")
    case.run((tmp_path / "importing.begun").exists, (0.0, signal.SIGINT))
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def test_a_signal_from_before_it_could_handle_one_stops_it_at_once(case: Case) -> None:
    case.add("never", BEATS)
    signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.STOP_SIGNALS)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    plan = Plan(
        case.programs,
        grace_seconds=1,
        patience_seconds=1,
        address=("127.0.0.1", 9),
        banner="Ready.",
    )
    assert Supervisor(plan, say=case.said.append).run() == ""
    assert case.pids("never") == []
    assert case.said[-1] == "Stopped."
