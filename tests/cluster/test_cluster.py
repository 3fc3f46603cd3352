"""A short trial of a whole cluster: clients behind nginx hardly notice what happens to its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import trial
from tests.cluster.parts import Cluster


@pytest.mark.timeout(400)
def test_clients_hardly_notice_what_happens_to_the_parts(
    need_service: Callable[[str], str], tmp_path: Path
) -> None:
    for service in ("PostgreSQL", "Redis", "weed"):
        need_service(service)
    with Cluster(tmp_path, nginx=need_service("nginx"), environment=trial.ENVIRONMENT) as cluster:
        met, broken, accepted = trial.run(cluster, trial.SHORT)
    assert broken == []
    assert accepted > 0
    assert all(counts.done.total() > 0 for counts in met)
