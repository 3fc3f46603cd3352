"""One fake provider for the session, emptied for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fake_provider import FakeProvider


@pytest.fixture(scope="session")
def running_fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(running_fake: FakeProvider) -> FakeProvider:
    running_fake.reset()
    return running_fake
