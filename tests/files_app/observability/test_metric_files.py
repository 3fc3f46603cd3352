"""A disk without room costs the metrics their readers for a while, and no process its life."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from files_app.observability import metric_files
from files_app.observability.metric_files import MetricFile


def shared(path: Path) -> dict[str, float]:
    """Return what another process reads."""
    return {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(path))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counter_1.db"


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_files, "RETRY_SECONDS", 0.0)


@pytest.fixture
def kept(path: Path) -> Iterator[Callable[[], MetricFile]]:
    """Open the file of metrics; it is closed behind the test."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(MetricFile(str(path))))


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow to the size of one of metrics: EFBIG stands for ENOSPC."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_values_are_shared_as_they_are_written(path: Path, kept: Callable[[], MetricFile]) -> None:
    file = kept()
    for number in range(3_000):  # more than the first room holds
        file.write_value(f"key-{number}-ü", number, 0.0)
    assert shared(path) == {f"key-{number}-ü": number for number in range(3_000)}


def test_what_an_earlier_process_counted_goes_on(path: Path, kept: Callable[[], MetricFile]) -> None:
    kept().write_value("key", 3.0, 0.0)
    file = kept()
    assert file.read_value("key")[0] == 3.0
    file.write_value("key", 4.0, 0.0)
    assert shared(path) == {"key": 4.0}


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 100, b"\xff\0\0\0" * 20])
def test_a_file_that_is_damaged_is_begun_anew(
    path: Path, kept: Callable[[], MetricFile], content: bytes
) -> None:
    path.write_bytes(content)
    kept().write_value("key", 1.0, 0.0)
    assert shared(path) == {"key": 1.0}


def test_it_has_no_holes(path: Path, kept: Callable[[], MetricFile]) -> None:
    file = kept()
    for number in range(3_000):
        file.write_value(f"key-{number}", number, 0.0)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 65_536


def test_values_are_kept_while_there_is_no_room_and_shared_again(
    path: Path, kept: Callable[[], MetricFile]
) -> None:
    with no_room():
        file = kept()
        file.write_value("key", 1.0, 0.0)
        assert not list(path.parent.iterdir())  # an empty one would fail its readers
        assert file.read_value("key")[0] == 1.0
    file.write_value("other", 2.0, 0.0)
    assert shared(path) == {"key": 1.0, "other": 2.0}


def test_a_file_that_cannot_grow_is_left_as_it_is_and_followed_by_a_larger_one(
    path: Path, kept: Callable[[], MetricFile]
) -> None:
    file = kept()
    file.write_value("first", 1.0, 0.0)
    with no_room():
        for number in range(3_000):
            file.write_value(f"key-{number}", number, 0.0)
        assert shared(path)["first"] == 1.0
    file.write_value("last", 1.0, 0.0)
    assert len(shared(path)) == 3_002


def test_the_metrics_of_the_gateway_are_kept_like_that(tmp_path: Path) -> None:
    """In a process without room: what prometheus_client makes by itself would have ended it."""
    program = (
        "import os, resource, signal;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "from files_app.observability import metrics;"
        "metrics.count_request(route='/v1/files', method='GET', status=200, seconds=0.1);"
        "print(metrics.REQUESTS.labels('/v1/files', 'GET', '200')._value.get())"
    )
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.endswith("1.0\n")
