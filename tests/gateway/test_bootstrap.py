"""`manage.py bootstrap` as several hosts' start scripts call it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.stack import PROJECT, inherited_environment

BOOTSTRAP = [sys.executable, str(PROJECT / "manage.py"), "bootstrap"]


def begin(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        BOOTSTRAP,
        env={**inherited_environment(), "DATA_DIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_bootstraps_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    with (tmp_path / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        both = [begin(tmp_path), begin(tmp_path)]
        for each in both:
            assert each.stderr
            assert "Another bootstrap is at work" in each.stderr.readline()
    done = [(*each.communicate(timeout=60), each.returncode) for each in both]
    assert [(errors, code) for _, errors, code in done] == [("", 0), ("", 0)]
    assert done[0][0] == done[1][0]
