"""Metrics are cheap to ask for, however many ask."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from files_app.observability import metrics
from files_app.observability.metrics import Exposition


class Source:
    """A gauge that counts how often it was read, and holds whoever reads it while it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_read = threading.Event()

    def __call__(self, with_names: bool) -> Iterator[Metric]:
        self.reads += 1
        self.is_read.set()
        self.goes_on.wait(60)
        yield GaugeMetricFamily("reads", "How often.", value=self.reads)


def test_they_are_kept_for_a_moment_and_apart_for_those_who_may_see_more() -> None:
    source = Source()
    exposition = Exposition([source], kept_seconds=3_600)
    sums = [exposition.text(with_names=False) for _ in range(3)]
    assert b"reads 1.0" in sums[0]
    assert sums[0] is sums[1] is sums[2]
    assert b"reads 2.0" in exposition.text(with_names=True)


def test_one_makes_them_and_the_others_get_the_last() -> None:
    source = Source()
    exposition = Exposition([source], kept_seconds=0)
    first = exposition.text(with_names=False)
    source.is_read.clear()
    source.goes_on.clear()

    def ask_until_they_are_made() -> None:
        while not source.is_read.is_set():
            exposition.text(with_names=False)

    scraper = threading.Thread(target=ask_until_they_are_made)
    scraper.start()
    assert source.is_read.wait(60)  # a tenth of the time: nine times as long as the first took
    assert exposition.text(with_names=False) is first
    source.goes_on.set()
    scraper.join(60)
    assert source.reads == 2


def test_what_a_killed_process_held_is_held_no_more(tmp_path: Path) -> None:
    code = "from files_app.observability import metrics; metrics.TRANSFERS.inc(); import os; os._exit(9)"
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert list(tmp_path.glob("gauge_livesum_*.db"))
    (tmp_path / f"gauge_livesum_{os.getpid()}.db").touch()  # this process lives
    metrics._forget_dead_processes(tmp_path)
    assert [path.name for path in tmp_path.glob("gauge_*")] == [f"gauge_livesum_{os.getpid()}.db"]
