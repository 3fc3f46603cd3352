"""Signs of life: to a pipe, to systemd, and what a process does that nobody watches."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import beats
from tests.processes import wait_until
from tests.stack import PROJECT, inherited_environment

PART = """
import sys, time
from gateway import beats
beats.INTERVAL_SECONDS, beats.SILENT_SECONDS, beats.START_SECONDS = 0.1, 1.0, 1.0
beats.start(lambda: sys.argv[1] == "well")
time.sleep(60)
"""


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def part(state: str, *, pipe: int = -1, **environment: str) -> subprocess.Popen[bytes]:
    if pipe != -1:
        environment[beats.VARIABLE] = str(pipe)
    return subprocess.Popen(
        [sys.executable, "-S", "-c", PART, state],
        cwd=PROJECT,
        env={**inherited_environment(), **environment},
        pass_fds=[pipe] if pipe != -1 else [],
    )


def test_a_part_beats_while_it_is_well_and_ends_with_its_watcher(
    children: list[subprocess.Popen[bytes]],
) -> None:
    listener = beats.Listener()
    children += [part("well", pipe=listener.writer), part("ill", pipe=listener.writer)]
    listener.close_writer()
    heard: set[int] = set()

    def is_heard() -> bool:
        heard.update(listener.read())
        return children[0].pid in heard

    wait_until(is_heard, seconds=20, what="a beat")
    listener.close()
    assert {child.wait(20) for child in children} == {-signal.SIGTERM}
    assert heard == {children[0].pid}


def test_a_part_that_nobody_watches_ends_itself_when_it_stands(
    children: list[subprocess.Popen[bytes]],
) -> None:
    children += [part("ill"), part("well")]
    assert children[0].wait(20) == 1
    assert children[1].poll() is None


def test_systemd_hears_that_a_part_is_ready_and_well(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        children.append(part("well", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="30000000"))
        assert [systemd.recv(64) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]


def test_a_watcher_that_stands_does_not_make_others_stand() -> None:
    listener = beats.Listener()
    os.write(listener.writer, b"1\n" * 32_768)  # all that a pipe holds
    with pytest.raises(BlockingIOError):
        os.write(listener.writer, b"1\n")
    assert listener.read() == {1}
    listener.close()


def test_no_time_passes_while_the_watcher_itself_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 2.0, 3_602.0, 3_605.0])
    monkeypatch.setattr(beats.time, "monotonic", lambda: next(moments))
    clock = beats.Clock()
    assert [clock.tick() for _ in range(3)] == [2.0, 2.0, 5.0]
