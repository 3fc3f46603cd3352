"""Counting for all processes, here for two that share a Redis or a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from files_app.models import RateCount
from files_app.services.index.limits import Limit
from files_app.services.tenants.counting import database
from files_app.services.tenants.counting.counts import Counts, Demand
from files_app.services.tenants.counting.database import DatabaseCounts
from files_app.services.tenants.counting.local import LocalCounts
from files_app.services.tenants.counting.redis import RedisCounts
from files_app.services.tenants.counting.settling import SettledCounts
from tests.servers import Redis

OF_ALL, OF_ONE = Limit("organization", "{org-1}:r", 5), Limit("key", "{org-1}:r:key-1", 3)


def served(counts: Counts, *limits: Limit, amount: int = 1) -> bool:
    return not any(each.is_refused for each in counts.take([Demand(limit, amount) for limit in limits]))


@pytest.fixture(params=["redis", "database", "local"])
def processes(request: pytest.FixtureRequest) -> Iterator[tuple[Counts, Counts]]:
    """What two processes count with."""
    if request.param == "redis":
        server: Redis = request.getfixturevalue("redis_server")
        yield RedisCounts(server.url, LocalCounts()), RedisCounts(server.url, LocalCounts())
    elif request.param == "database":
        request.getfixturevalue("db")
        yield DatabaseCounts(), DatabaseCounts()
    else:
        alone = LocalCounts()  # what is not shared is not between two
        yield alone, alone


def test_all_count_or_none(processes: tuple[Counts, Counts]) -> None:
    here, there = processes
    assert [served(here, OF_ALL, OF_ONE), served(there, OF_ALL, OF_ONE), served(here, OF_ALL, OF_ONE)] == [
        True
    ] * 3
    assert not served(there, OF_ALL, OF_ONE)
    assert [served(here, OF_ALL), served(there, OF_ALL), served(here, OF_ALL)] == [True, True, False]


def test_what_is_above_the_limit_is_served_once_a_window(processes: tuple[Counts, Counts]) -> None:
    here, there = processes
    assert served(here, OF_ALL, amount=50)
    assert not served(there, OF_ALL)


def test_it_tells_what_is_left_and_for_how_long(processes: tuple[Counts, Counts]) -> None:
    here, there = processes
    served(here, OF_ALL, amount=2)
    first, second = there.take([Demand(OF_ALL), Demand(OF_ONE)])
    assert (first.left, second.left) == (2, 2)
    assert 0 < first.seconds <= second.seconds <= 60


def end_window(name: str) -> None:
    RateCount.objects.filter(name=name).update(ends_at_ms=1)


def test_a_window_ends_and_another_begins(db: None) -> None:
    counts = DatabaseCounts()
    assert served(counts, OF_ALL, amount=5)
    assert not served(counts, OF_ALL)
    end_window(OF_ALL.name)
    assert served(counts, OF_ALL, amount=4)
    assert RateCount.objects.get().count == 4


def test_windows_that_ended_are_forgotten(db: None) -> None:
    counts = DatabaseCounts()
    served(counts, OF_ALL)
    served(counts, OF_ONE)
    end_window(OF_ALL.name)
    assert database.forget_ended() == 1
    assert RateCount.objects.get().name == OF_ONE.name


def test_processes_that_settle_hear_of_each_other(db: None) -> None:
    here, there = SettledCounts(LocalCounts()), SettledCounts(LocalCounts())
    assert served(here, OF_ALL, amount=3)
    assert served(there, OF_ALL, amount=2)
    for process in here, there, here:
        process.settle()
    assert not served(there, OF_ALL)
    assert served(here, OF_ALL)  # settled first, it has heard only of its own: so much may pass beyond
    here.settle()
    assert RateCount.objects.get().count == 6
    assert not served(here, OF_ALL)


def test_a_settle_that_fails_loses_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    process = SettledCounts(LocalCounts())
    served(process, OF_ALL, amount=3)
    with monkeypatch.context() as broken:
        broken.setattr(database, "add", lambda amounts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            process.settle()
    process.settle()
    assert RateCount.objects.get().count == 3


def test_a_request_with_a_rate_asks_the_database_nothing(
    db: None, django_assert_num_queries: Callable[[int], object]
) -> None:
    process = SettledCounts(LocalCounts())
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        assert served(process, OF_ALL)


@pytest.mark.django_db(transaction=True)
def test_parallel_counts_are_exact() -> None:
    def take(number: int) -> bool:
        try:
            return served(
                DatabaseCounts(), Limit("key", f"k{number % 2}", 100), Limit("organization", "o", 10)
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 10
    assert RateCount.objects.get(name="o").count == 10


def test_a_redis_that_dies_is_asked_again_when_it_is_back(redis_server: Redis) -> None:
    counts = RedisCounts(redis_server.url, LocalCounts())
    assert served(counts, OF_ALL, amount=5)
    redis_server.stop()
    assert served(counts, OF_ALL, amount=5)  # of this process's own
    assert not served(counts, OF_ALL)
    redis_server.start()
    counts._left_alone_until = 0.0
    assert served(counts, OF_ALL)
