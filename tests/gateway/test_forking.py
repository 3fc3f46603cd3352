"""Parts that are forked of the supervisor end, and can be ended, as programs of their own do."""

import subprocess
import sys

import pytest

from gateway import preloading
from tests.stack import PROJECT

PROLOGUE = "import os, signal, subprocess, sys, time\nfrom gateway.forking import Forked\n"

pytestmark = pytest.mark.skipif(not preloading.forks(), reason="Python does not fork here")


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process that has no threads, as the supervisor has none."""
    command = [sys.executable, "-c", PROLOGUE + code]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("work", "code", "error"),
    [
        ("lambda: 0", 0, ""),
        ("lambda: 4", 4, ""),
        ("lambda: sys.exit()", 0, ""),
        ("lambda: sys.exit(3)", 3, ""),
        ("lambda: sys.exit('in words')", 1, "in words"),
        ("lambda: 1 / 0", 1, "ZeroDivisionError"),
        ("lambda: os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    ],
)
def test_the_exit_code_is_that_of_an_interpreter(work: str, code: int, error: str) -> None:
    done = run(f"print(Forked({work}).wait())")
    assert done.stdout == f"{code}\n"
    assert error in done.stderr
    assert error or not done.stderr


def test_what_is_registered_for_the_exit_is_done() -> None:
    code = "import atexit\natexit.register(print, 'the end of', 'each')\nForked(lambda: 0).wait()"
    assert run(code).stdout == "the end of each\n" * 2


def test_a_signal_that_the_supervisor_handles_ends_the_part() -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *received: print("handled"))
part = Forked(lambda: time.sleep(60))
part.send_signal(signal.SIGTERM)
print(part.wait(), part.poll(), part.returncode)
part.send_signal(signal.SIGTERM)
"""
    assert run(code).stdout == "-15 -15 -15\n"


def test_it_has_a_session_of_its_own_and_is_waited_for_no_longer_than_asked() -> None:
    code = """
reader, writer = os.pipe()
part = Forked(lambda: os.write(writer, b"there") and time.sleep(60))
os.read(reader, 5)
print(os.getsid(part.pid) == part.pid)
try:
    part.wait(0.05)
except subprocess.TimeoutExpired:
    print("runs", part.poll())
os.killpg(part.pid, signal.SIGKILL)
print(part.wait())
"""
    assert run(code).stdout == "True\nruns None\n-9\n"


def test_a_part_has_its_pipe_and_none_of_the_descriptors_of_the_supervisor() -> None:
    code = """
import types
from gateway.forking import Forks
from gateway.supervisor import Program

def main():
    for name in ("lock", "shared", "writer"):
        try:
            os.fstat(globals()[name])
            print(name)
        except OSError:
            print("no", name)
    print(sys.argv, os.environ.get("OF_THE_PART"), "PATH" in os.environ)

sys.modules["part"] = types.ModuleType("part")
sys.modules["part"].main = main
lock, shared, writer = (os.open(os.devnull, os.O_RDONLY) for _ in range(3))
program = Program("part", "part", [sys.executable, "-m", "part", "one", "two"], "")
print(Forks({shared})(program, {"OF_THE_PART": "is set"}, writer).wait())
"""
    assert run(code).stdout.splitlines() == [
        *("no lock", "shared", "writer"),
        *("['part', 'one', 'two'] is set False", "0"),
    ]
