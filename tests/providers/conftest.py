"""Fixtures of the drivers' tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from tests.fake_provider import FakeProvider
from tests.providers.stores import gcs_server, moto_server, s3_server

__all__ = ["closer", "fake", "gcs_server", "moto_server", "s3_server"]


@pytest.fixture(scope="session")
def closer() -> Iterator[Executor]:
    """Closes fakes behind the tests' back, since each takes some milliseconds."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def fake(closer: Executor) -> Iterator[FakeProvider]:
    """Every provider's API on loopback.

    Each test has its own: a request that an earlier test broke off may still be on its way, and would use
    up what a later test has scripted.
    """
    fake = FakeProvider()
    fake.start()
    yield fake
    closer.submit(fake.close)
